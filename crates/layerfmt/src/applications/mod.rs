//! What is in a layer that Windows would know as applications: found in its registry and its files, not told by its maker.
//!
//! * The registry: [installed applications](Application) in both views and of the user, services and drivers, file types and
//!   protocols, COM classes, fonts, programs that start by themselves, environment variables.
//! * The files: shortcuts, programs with their version resources, scheduled tasks, and once more what starts by itself.
//!
//! ```
//! use layerfmt::{Content, Kind, Manifest, applications};
//!
//! let content = Content::new(Manifest::new("App", "1", Kind::App));
//! let found = applications::find(&content);
//! assert!(found.applications.installed.is_empty() && found.unread.is_empty());
//! ```

mod com_classes;
mod environment;
mod file_types;
mod files;
mod fonts;
mod installed;
mod programs;
mod registry;
mod run;
mod services;
mod stream;
mod tasks;

pub use stream::StreamDisk;
pub use tasks::{TaskAction, TaskError, parse as parse_task};

use crate::Content;
use crate::content::HiveName;
#[cfg(doc)]
use crate::manifest::Application;
use crate::manifest::{Applications, Architecture};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The applications and what belongs to them.
    pub applications: Applications,
    /// The processor that the programs are for, where there are any.
    pub architecture: Option<Architecture>,
    /// Files that should say something and could not be read or understood.
    pub unread: Vec<Unread>,
}

/// A file that could not be read or understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its path, as on drive C:.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Finds the applications in what a layer is to hold. Of files only what is needed is read.
pub fn find(content: &Content) -> Found {
    let mut found = Found::default();
    let hives = &content.hives;
    let applications = &mut found.applications;
    applications.installed = installed::find(hives);
    applications.services = services::find(hives);
    applications.file_types = file_types::find(hives);
    applications.com_classes = com_classes::find(hives);
    applications.fonts = fonts::find(hives);
    applications.run = run::find(hives);
    applications.environment = environment::find(hives, &content.manifest.policy);
    files::find(&content.files, &mut found);
    programs::find(&content.files, &mut found);
    found
}

/// The hives that have `Software` keys: their name, the path of these keys, and whether they are the user's.
const SOFTWARE: [(HiveName, &str, bool); 2] = [(HiveName::Software, "", false), (HiveName::User, "Software", true)];

/// The name of the key, in `Software` and in `Classes`, that has the 32-bit view.
const VIEW_32: &str = "WOW6432Node";

/// For both views, of the machine and of the user: the key at `path` of `Software`, whether it is of the 32-bit view, and
/// whether it is the user's.
fn software_keys<'a>(
    hives: &'a std::collections::BTreeMap<HiveName, cv_hive::Key>,
    path: &'a str,
) -> impl Iterator<Item = (&'a cv_hive::Key, bool, bool)> {
    SOFTWARE.into_iter().flat_map(move |(hive, top, is_per_user)| {
        [false, true].into_iter().filter_map(move |is_32_bit| {
            let names = [top, if is_32_bit { VIEW_32 } else { "" }, path];
            let path: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
            let key = registry::key(hives, hive, &path.join("\\"))?;
            Some((key, is_32_bit, is_per_user))
        })
    })
}

/// The keys at `path` of the control sets.
fn system_keys<'a>(
    hives: &'a std::collections::BTreeMap<HiveName, cv_hive::Key>,
    path: &'a str,
) -> impl Iterator<Item = &'a cv_hive::Key> {
    // A captured hive may have a numbered set; in a layer it is the current one.
    let sets = ["CurrentControlSet", "ControlSet001"].into_iter();
    sets.filter_map(move |set| registry::below(registry::key(hives, HiveName::System, set)?, path))
        .take(1)
}

/// A path in a file tree as on drive C:.
fn drive_path(path: &[u8]) -> String {
    format!("\\{}", String::from_utf8_lossy(path).replace('/', "\\"))
}
