//! VHD and VHDX.
