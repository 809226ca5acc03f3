//! File types and protocols.

use super::registry::{RegistrationError, Registry};
use super::software;

/// A class of files, and the extensions that lead to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileType {
    /// The extensions, each with its dot.
    pub extensions: Vec<String>,
    /// The class, such as `Maker.App.1`.
    pub class: String,
    /// What such files are called.
    pub description: String,
    /// Where their icon is, a path and a number behind a comma.
    pub icon: String,
    /// Their media type, such as `text/plain`.
    pub content_type: String,
    /// What kind of files they are to the shell, such as `text`.
    pub perceived_type: String,
    /// Verbs and their commands, such as `open` and `"C:\App\app.exe" "%1"`; the first is what a double click does.
    pub verbs: Vec<(String, String)>,
    /// Whether it is the user's alone.
    pub is_per_user: bool,
}

/// A protocol, such as `mailto`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protocol {
    /// Its name, without a colon.
    pub name: String,
    /// What it is called.
    pub description: String,
    /// Where its icon is.
    pub icon: String,
    /// What opens its addresses.
    pub command: String,
    /// Whether it is the user's alone.
    pub is_per_user: bool,
}

impl Registry<'_> {
    /// Adds a file type.
    pub fn file_type(&mut self, file_type: &FileType) -> Result<(), RegistrationError> {
        let classes = format!(r"{}\Classes", software(file_type.is_per_user));
        for extension in &file_type.extensions {
            let path = format!(r"{classes}\{extension}");
            self.text(&path, "", &file_type.class)?;
            self.optional_text(&path, "Content Type", &file_type.content_type)?;
            self.optional_text(&path, "PerceivedType", &file_type.perceived_type)?;
            self.text(&format!(r"{path}\OpenWithProgids"), &file_type.class, "")?;
        }
        let path = format!(r"{classes}\{}", file_type.class);
        self.key(&path)?;
        self.optional_text(&path, "", &file_type.description)?;
        if !file_type.icon.is_empty() {
            self.text(&format!(r"{path}\DefaultIcon"), "", &file_type.icon)?;
        }
        if let Some((default, _)) = file_type.verbs.first().filter(|(verb, _)| verb != "open") {
            self.text(&format!(r"{path}\shell"), "", default)?;
        }
        for (verb, command) in &file_type.verbs {
            self.text(&format!(r"{path}\shell\{verb}\command"), "", command)?;
        }
        Ok(())
    }

    /// Adds a protocol.
    pub fn protocol(&mut self, protocol: &Protocol) -> Result<(), RegistrationError> {
        let path = format!(r"{}\Classes\{}", software(protocol.is_per_user), protocol.name);
        let description = if protocol.description.is_empty() {
            format!("URL:{}", protocol.name)
        } else {
            protocol.description.clone()
        };
        self.text(&path, "", &description)?;
        self.text(&path, "URL Protocol", "")?;
        if !protocol.icon.is_empty() {
            self.text(&format!(r"{path}\DefaultIcon"), "", &protocol.icon)?;
        }
        self.text(&format!(r"{path}\shell\open\command"), "", &protocol.command)
    }
}
