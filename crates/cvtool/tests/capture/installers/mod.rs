//! `cvtool capture` around real installers, in Wine: NSIS and Windows Installer, with the files of `CMake` for Windows. What a
//! layer must hold follows from the installer's own table, never from what was captured.

mod application;
mod captured;
mod here;
mod msi;
mod nsis;
mod outcomes;
mod recorded;
