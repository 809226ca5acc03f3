//! What of gathered content is a change, and not only there to hold one.

use cv_hive::Name;
use cv_winname::{UpcaseTable, wtf8};
use layerfmt::content::HiveName;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How a file, a key or a value changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is another.
    Modified,
    /// It is gone.
    Deleted,
    /// It had another name.
    Renamed,
    /// It did not change, but belongs to a class that did.
    Whole,
}

/// An item as it is found again: folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Place {
    File(Vec<u16>),
    Key(String, Vec<u16>),
    Value(String, Vec<u16>, Vec<u16>),
}

/// The changes that content holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Items {
    changes: HashMap<Place, (Change, String)>,
}

/// As it stands in a saved state.
#[derive(Serialize, Deserialize)]
struct Saved {
    items: Vec<(Place, Change, String)>,
}

fn joined(names: &[Name]) -> Vec<u16> {
    let mut path = Vec::new();
    for name in names {
        path.push(u16::from(b'\\'));
        path.extend(UpcaseTable::windows().fold(name.units()));
    }
    path
}

fn folded_path(path: &[u8]) -> Vec<u16> {
    UpcaseTable::windows().fold(&wtf8::decode(path).unwrap_or_default())
}

impl Items {
    /// Notes a file by its path in the layer; `detail` says more, for people.
    pub fn add_file(&mut self, path: &[u8], change: Change, detail: String) {
        let place = Place::File(folded_path(path));
        self.changes.insert(place, (change, detail));
    }

    /// Notes a key by its names below the root of its hive.
    pub fn add_key(&mut self, hive: HiveName, names: &[Name], change: Change) {
        let place = Place::Key(hive.file_name().to_owned(), joined(names));
        self.changes.entry(place).or_insert((change, String::new()));
    }

    /// Notes a value.
    pub fn add_value(&mut self, hive: HiveName, names: &[Name], value: &Name, change: Change) {
        let folded = UpcaseTable::windows().fold(value.units());
        let place = Place::Value(hive.file_name().to_owned(), joined(names), folded);
        self.changes.entry(place).or_insert((change, String::new()));
    }

    /// How a file changed, and what is said of it.
    pub fn file(&self, path: &[u8]) -> Option<&(Change, String)> {
        self.changes.get(&Place::File(folded_path(path)))
    }

    /// How a key changed.
    pub fn key(&self, hive: HiveName, names: &[Name]) -> Option<&Change> {
        let place = Place::Key(hive.file_name().to_owned(), joined(names));
        self.changes.get(&place).map(|(change, _)| change)
    }

    /// How a value changed.
    pub fn value(&self, hive: HiveName, names: &[Name], value: &Name) -> Option<&Change> {
        let folded = UpcaseTable::windows().fold(value.units());
        let place = Place::Value(hive.file_name().to_owned(), joined(names), folded);
        self.changes.get(&place).map(|(change, _)| change)
    }

    /// The items as JSON, in one order whatever the order in which they were noted.
    pub fn to_json(&self) -> Vec<u8> {
        let mut items: Vec<_> = self
            .changes
            .iter()
            .map(|(place, (change, detail))| (place.clone(), change.clone(), detail.clone()))
            .collect();
        items.sort_by(|left, right| left.0.cmp(&right.0));
        serde_json::to_vec(&Saved { items }).unwrap_or_default()
    }

    /// The items that [`to_json`](Self::to_json) wrote.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let saved: Saved = serde_json::from_slice(bytes)?;
        let changes = saved.items.into_iter();
        Ok(Self {
            changes: changes
                .map(|(place, change, detail)| (place, (change, detail)))
                .collect(),
        })
    }
}
