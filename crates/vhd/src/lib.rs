//! Microsoft's virtual hard disks: VHD ([`vhd`]) and VHDX ([`vhdx`]).

pub mod vhd;
pub mod vhdx;
