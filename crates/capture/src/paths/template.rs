//! Paths and texts without the packager in them.

use crate::snapshot::{Snapshot, profile_of};
use cv_hive::{Name, Value, ValueType};
use cv_winname::wtf8;
use serde::{Deserialize, Serialize};

/// The profile that layers have.
const DEFAULT: &[u8] = b"Default";

/// Directories at the top of drive C: as Windows writes them.
const TOP: [&str; 5] = [
    "Windows",
    "Users",
    "Program Files",
    "Program Files (x86)",
    "ProgramData",
];

/// Stands for the profile of whoever is logged on, in texts with variables.
const VARIABLE: &str = "%USERPROFILE%";

/// Turns the paths of one machine into those of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The names of the profiles that have to do with the install, and what they are known by.
    profiles: Vec<String>,
    sids: Vec<String>,
}

impl Template {
    /// The template for what was installed on this machine.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut template = Self::default();
        for user in &snapshot.registry.users {
            if !user.profile.eq_ignore_ascii_case("Default") {
                template.profiles.push(user.profile.clone());
            }
            template
                .sids
                .extend(user.sid.iter().filter(|sid| sid.starts_with("S-1-5-21-")).cloned());
        }
        template
    }

    /// The names of profiles that must not be in a layer.
    pub fn profiles(&self) -> &[String] {
        &self.profiles
    }

    /// The SIDs that must not be in a layer.
    pub fn sids(&self) -> &[String] {
        &self.sids
    }

    /// The path of a file in a layer; names are separated by `/`. A profile becomes that of the default user.
    pub fn file(&self, path: &[u8]) -> Vec<u8> {
        if let Some((_, below)) = profile_of(path) {
            let mut mapped = b"Users/".to_vec();
            mapped.extend_from_slice(DEFAULT);
            if !below.is_empty() {
                mapped.push(b'/');
                mapped.extend_from_slice(below);
            }
            return mapped;
        }
        let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
        let top = TOP.iter().find(|top| path[..end].eq_ignore_ascii_case(top.as_bytes()));
        match top {
            Some(top) => [top.as_bytes(), &path[end..]].concat(),
            None => path.to_vec(),
        }
    }

    /// The names of a key of `HKLM\SOFTWARE` in a layer: what both views share stands below `Classes`.
    pub fn software_key(names: &[Name]) -> Vec<Name> {
        let is = |place: usize, name: &str| {
            let units: Vec<u16> = name.encode_utf16().collect();
            names.get(place).is_some_and(|found| found.matches(&units))
        };
        if is(0, "WOW6432Node") && is(1, "Classes") {
            let mut mapped = vec![names[1].clone(), names[0].clone()];
            mapped.extend_from_slice(&names[2..]);
            return mapped;
        }
        names.to_vec()
    }

    /// A user's value with the user's profile as a variable; `None` where the value stays as it is.
    pub fn user_value(&self, value: &Value) -> Option<Value> {
        if value.value_type != ValueType::SZ && value.value_type != ValueType::EXPAND_SZ {
            return None;
        }
        let units = wtf8::from_le_bytes(&value.data);
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        let text = String::from_utf16(&units[..end]).ok()?;
        let mut replaced = text.clone();
        for profile in &self.profiles {
            replaced = replace_profile(&replaced, profile);
        }
        // A text that has had no variables may not get those that stand in it by chance.
        let has_percents = text.matches('%').count() > 1;
        if replaced == text || (value.value_type == ValueType::SZ && has_percents) {
            return None;
        }
        let data: Vec<u8> = replaced.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Some(Value {
            value_type: ValueType::EXPAND_SZ,
            data: data.into(),
            ..value.clone()
        })
    }
}

/// The text with `C:\Users\PROFILE` as a variable, in whatever case and with whichever slashes.
fn replace_profile(text: &str, profile: &str) -> String {
    let start = format!("c:/users/{}", profile.to_lowercase());
    let plain = text.to_lowercase().replace('\\', "/");
    // Where folding changes lengths, places in one are none in the other.
    if plain.len() != text.len() {
        return text.to_owned();
    }
    let mut replaced = String::new();
    let mut position = 0;
    while let Some(found) = plain[position..].find(&start).map(|found| position + found) {
        let end = found + start.len();
        let follows = plain[end..].chars().next();
        let is_whole = follows.is_none_or(|next| "/\"';,|> ".contains(next));
        if text.is_char_boundary(found) && text.is_char_boundary(end) && is_whole {
            replaced.push_str(&text[position..found]);
            replaced.push_str(VARIABLE);
        } else {
            match text.get(position..end) {
                Some(part) => replaced.push_str(part),
                None => return text.to_owned(),
            }
        }
        position = end;
    }
    replaced.push_str(text.get(position..).unwrap_or_default());
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template {
            profiles: vec!["Packager".to_owned()],
            sids: Vec::new(),
        }
    }

    fn text(value_type: ValueType, text: &str) -> Value {
        let data: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Value::new("v", value_type, data)
    }

    #[test]
    fn profiles_become_the_default_users() {
        let file = |path: &str| String::from_utf8(template().file(path.as_bytes())).unwrap();
        assert_eq!(file("users/packager/AppData/a"), "Users/Default/AppData/a");
        assert_eq!(file("users/Public/Desktop/a"), "Users/Public/Desktop/a");
        assert_eq!(file("windows/system32/a"), "Windows/system32/a");
        assert_eq!(file("Tools/a"), "Tools/a");
    }

    #[test]
    fn paths_in_a_users_values_become_variables() {
        let value = |from: Value| template().user_value(&from);
        let expected = text(ValueType::EXPAND_SZ, r#""%USERPROFILE%\AppData\a.exe" /x"#);
        assert_eq!(
            value(text(ValueType::SZ, r#""C:\Users\PACKAGER\AppData\a.exe" /x"#)),
            Some(expected)
        );
        assert_eq!(value(text(ValueType::SZ, r"C:\Users\Packager2\a")), None);
        assert_eq!(value(text(ValueType::SZ, r"C:\Users\Packager\%a%")), None);
        assert_eq!(value(Value::new("v", ValueType::BINARY, *b"C:\\Users\\Packager")), None);
    }
}
