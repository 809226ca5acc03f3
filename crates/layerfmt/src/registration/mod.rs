//! Writing into a layer's hives what tells Windows of an application: services, file types, fonts, environment variables,
//! installed applications, programs that start by themselves.
//!
//! ```
//! use layerfmt::registration::{Registry, RunEntry};
//! use std::collections::BTreeMap;
//!
//! let mut hives = BTreeMap::new();
//! let mut registry = Registry::new(&mut hives, 0);
//! registry.run(&RunEntry {
//!     name: "App".into(),
//!     command: r"C:\Program Files\App\tray.exe".into(),
//!     ..RunEntry::default()
//! })?;
//! assert_eq!(hives.len(), 1);
//! # Ok::<(), layerfmt::registration::RegistrationError>(())
//! ```

mod application;
mod file_type;
mod registry;
mod service;

pub use application::{Application, Font, RunEntry, Variable};
pub use file_type::{FileType, Protocol};
pub use registry::{RegistrationError, Registry, place};
pub use service::{ErrorControl, Service, ServiceKind, Start};

/// A mark where everyone's differs from the user's: the top of the `Software` keys.
fn software(is_per_user: bool) -> &'static str {
    if is_per_user {
        r"HKEY_CURRENT_USER\Software"
    } else {
        r"HKEY_LOCAL_MACHINE\SOFTWARE"
    }
}
