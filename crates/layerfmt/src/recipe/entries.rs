//! The sections of a recipe that describe one thing each: shortcuts, services, file types and so on.

use super::mistake::{Marked, Position};
use super::model::{FontEntry, Recipe, ShortcutEntry};
use super::paths::{SHORTCUT_FOLDERS, in_layer};
use super::table::{Reading, Table};
use crate::content::without_variable;
use crate::manifest::EnvironmentAddition;
use crate::registration::{
    Application, ErrorControl, FileType, Protocol, RunEntry, Service, ServiceKind, Start, Variable,
};
use crate::shell_link::{ShellLink, Window};

/// Who a thing is for: `for = "user"` or `for = "everyone"`, which is the default.
fn is_per_user(reading: &mut Reading<'_>, table: &mut Table<'_>) -> bool {
    let choices = [("everyone", false), ("user", true)];
    table.choice(reading, "for", &choices).unwrap_or(false)
}

/// The name of a key or file, in which no backslash may be.
fn plain_name(reading: &mut Reading<'_>, table: &mut Table<'_>, key: &'static str) -> Marked<String> {
    let name = table.required_text(reading, key);
    if name.value.contains(['\\', '\0']) || name.value.encode_utf16().count() > 255 {
        let message = format!("{key} has a backslash, a zero or more than 255 characters");
        reading.mistake(name.position, message);
    }
    name
}

fn marked<T>(position: Position, value: T) -> Marked<T> {
    Marked { value, position }
}

/// Reads `[[shortcut]]`.
pub fn shortcut(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let is_user = is_per_user(reading, &mut table);
    let words = SHORTCUT_FOLDERS.map(|(word, everyone, user)| (word, (everyone, user)));
    let place = table.choice(reading, "place", &words);
    let (everyone, user) = place.unwrap_or((SHORTCUT_FOLDERS[0].1, SHORTCUT_FOLDERS[0].2));
    let folder = match everyone {
        Some(everyone) if !is_user => everyone,
        _ => user,
    };
    let name = table.required_text(reading, "name");
    let below = table.text(reading, "folder");
    let below = below.map(|below| format!("{}\\", below.value)).unwrap_or_default();
    let path = marked(name.position, format!("{folder}\\{below}{}.lnk", name.value));
    let target = table.required_text(reading, "target");
    let mut link = ShellLink::default();
    let path_of_target = without_variable(&target.value);
    if !path_of_target.contains('%') {
        link.path = Some(path_of_target);
    }
    if target.value.contains('%') {
        link.environment_path = Some(target.value);
    }
    let mut text = |key| table.text(reading, key).map(|text| text.value);
    link.arguments = text("arguments");
    link.directory = text("directory");
    link.description = text("description");
    if let Some(icon) = text("icon") {
        let number = icon
            .rsplit_once(',')
            .and_then(|(path, number)| Some((path, number.trim().parse().ok()?)));
        let (path, number) = number.unwrap_or((&icon, 0));
        link.icon = Some(path.to_owned());
        link.icon_index = number;
    }
    let windows = [
        ("normal", Window::Normal),
        ("maximized", Window::Maximized),
        ("minimized", Window::Minimized),
    ];
    link.window = table.choice(reading, "window", &windows).unwrap_or_default();
    if let Some(keys) = table.text(reading, "hot-key") {
        match hot_key(&keys.value) {
            Some(key) => link.hot_key = key,
            None => reading.mistake(keys.position, "hot-key is such as \"Ctrl+Alt+A\" or \"Shift+F5\""),
        }
    }
    link.is_elevated = table.flag(reading, "administrator");
    link.is_directory = table.flag(reading, "directory-target");
    let path = in_layer(reading, &path);
    recipe
        .shortcuts
        .push(marked(table.position, ShortcutEntry { path, link }));
    table.finish(reading);
}

/// The number of a key with its modifiers, as shortcuts have it.
fn hot_key(text: &str) -> Option<u16> {
    let (modifiers, key) = text.rsplit_once('+')?;
    let key = key.trim().to_ascii_uppercase();
    let number = match key.as_bytes() {
        [key] if key.is_ascii_alphanumeric() => u16::from(*key),
        [b'F', digits @ ..] => {
            let number: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
            0x6F + Some(number).filter(|number| (1..=24).contains(number))?
        }
        _ => return None,
    };
    modifiers.split('+').try_fold(number, |number, modifier| {
        let bit = match modifier.trim().to_ascii_lowercase().as_str() {
            "shift" => 1,
            "ctrl" => 2,
            "alt" => 4,
            _ => return None,
        };
        Some(number | bit << 8)
    })
}

/// Reads `[[environment]]`.
pub fn environment(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let name = plain_name(reading, &mut table, "name").value;
    let is_per_user = is_per_user(reading, &mut table);
    let value = table.text(reading, "value");
    let texts = |texts: Vec<Marked<String>>| texts.into_iter().map(|text| text.value).collect::<Vec<_>>();
    let prepend = texts(table.texts(reading, "prepend"));
    let append = texts(table.texts(reading, "append"));
    let is_list = !prepend.is_empty() || !append.is_empty();
    match value {
        Some(value) if is_list => {
            reading.mistake(
                value.position,
                "a variable has a value, or something to prepend and append, not both",
            );
        }
        Some(value) => recipe.variables.push(marked(
            table.position,
            Variable {
                name,
                value: value.value,
                is_per_user,
            },
        )),
        None if is_list => recipe.additions.push(EnvironmentAddition {
            name,
            prepend,
            append,
            is_per_user,
            ..EnvironmentAddition::default()
        }),
        None => reading.mistake(table.position, "value, append or prepend is missing"),
    }
    table.finish(reading);
}

/// Reads `[[service]]`.
pub fn service(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let kinds = [
        ("own-process", ServiceKind::OwnProcess),
        ("shared-process", ServiceKind::SharedProcess),
        ("kernel-driver", ServiceKind::KernelDriver),
        ("file-system-driver", ServiceKind::FileSystemDriver),
    ];
    let starts = [
        ("boot", Start::Boot),
        ("system", Start::System),
        ("automatic", Start::Automatic),
        ("delayed", Start::Delayed),
        ("manual", Start::Manual),
        ("disabled", Start::Disabled),
    ];
    let errors = [
        ("ignore", ErrorControl::Ignore),
        ("normal", ErrorControl::Normal),
        ("severe", ErrorControl::Severe),
        ("critical", ErrorControl::Critical),
    ];
    let service = Service {
        name: plain_name(reading, &mut table, "name").value,
        display_name: table.plain_text(reading, "display-name"),
        description: table.plain_text(reading, "description"),
        kind: table.choice(reading, "type", &kinds).unwrap_or_default(),
        start: table.choice(reading, "start", &starts).unwrap_or_default(),
        error_control: table.choice(reading, "on-error", &errors).unwrap_or_default(),
        image: table.required_text(reading, "image").value,
        library: table.plain_text(reading, "library"),
        account: table.plain_text(reading, "account"),
        group: table.plain_text(reading, "group"),
        depends: table
            .texts(reading, "depends")
            .into_iter()
            .map(|text| text.value)
            .collect(),
    };
    recipe.services.push(marked(table.position, service));
    table.finish(reading);
}

/// Reads `[[file-type]]`.
pub fn file_type(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let class = plain_name(reading, &mut table, "class").value;
    let extensions = table.texts(reading, "extensions");
    for extension in &extensions {
        if !extension.value.starts_with('.') || extension.value.contains('\\') || extension.value.len() < 2 {
            let message = format!(
                "an extension begins with a dot, as \".txt\"; {:?} does not",
                extension.value
            );
            reading.mistake(extension.position, message);
        }
    }
    let mut verbs = Vec::new();
    if let Some(command) = table.text(reading, "command") {
        verbs.push(("open".to_owned(), command.value));
    }
    if let Some(mut others) = table.table(reading, "verbs") {
        for (verb, _) in others.all().collect::<Vec<_>>() {
            if let Some(command) = others.named_text(reading, verb) {
                verbs.push((verb.to_owned(), command.value));
            }
        }
    }
    let file_type = FileType {
        extensions: extensions.into_iter().map(|text| text.value).collect(),
        class,
        description: table.plain_text(reading, "description"),
        icon: table.plain_text(reading, "icon"),
        content_type: table.plain_text(reading, "content-type"),
        perceived_type: table.plain_text(reading, "perceived-type"),
        verbs,
        is_per_user: is_per_user(reading, &mut table),
    };
    recipe.file_types.push(marked(table.position, file_type));
    table.finish(reading);
}

/// Reads `[[protocol]]`.
pub fn protocol(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let protocol = Protocol {
        name: plain_name(reading, &mut table, "name").value,
        description: table.plain_text(reading, "description"),
        icon: table.plain_text(reading, "icon"),
        command: table.required_text(reading, "command").value,
        is_per_user: is_per_user(reading, &mut table),
    };
    recipe.protocols.push(marked(table.position, protocol));
    table.finish(reading);
}

/// Reads `[[font]]`.
pub fn font(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let path = table.required_text(reading, "file");
    let name = table.text(reading, "name").map(|name| name.value);
    recipe.fonts.push(FontEntry { path, name });
    table.finish(reading);
}

/// Reads `[[application]]`.
pub fn application(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let key = plain_name(reading, &mut table, "key").value;
    let otherwise = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    let application = Application {
        name: otherwise(table.plain_text(reading, "name"), &recipe.name),
        version: otherwise(table.plain_text(reading, "version"), &recipe.version),
        publisher: otherwise(table.plain_text(reading, "publisher"), &recipe.publisher),
        location: table.plain_text(reading, "location"),
        uninstall: table.plain_text(reading, "uninstall"),
        icon: table.plain_text(reading, "icon"),
        url: table.plain_text(reading, "url"),
        is_32_bit: table
            .choice(reading, "view", &[("64-bit", false), ("32-bit", true)])
            .unwrap_or(false),
        is_per_user: is_per_user(reading, &mut table),
        key,
    };
    recipe.applications.push(marked(table.position, application));
    table.finish(reading);
}

/// Reads `[[run]]`.
pub fn run(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let entry = RunEntry {
        name: table.required_text(reading, "name").value,
        command: table.required_text(reading, "command").value,
        is_once: table.flag(reading, "once"),
        is_per_user: is_per_user(reading, &mut table),
    };
    recipe.run.push(marked(table.position, entry));
    table.finish(reading);
}

#[cfg(test)]
mod tests {
    use super::hot_key;

    #[test]
    fn hot_keys_have_their_numbers() {
        assert_eq!(hot_key("Ctrl+Alt+A"), Some(0x0641));
        assert_eq!(hot_key("shift + F12"), Some(0x017B));
        assert_eq!(hot_key("A"), None);
        assert_eq!(hot_key("Ctrl+F25"), None);
        assert_eq!(hot_key("Win+A"), None);
    }
}
