//! Calls of Windows, each as a safe function of the same meaning.

pub mod file;
pub mod key;
pub mod process;
pub mod security;
pub mod status;
pub mod volume;
