//! VHDX, as \[MS-VHDX\] describes it.
