//! Reading the tables of a recipe: each key by its name and type, and what no key should be there.

use super::mistake::{Lines, Marked, Mistake, Position};
use super::variables::Variables;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What reading a recipe needs and finds.
#[derive(Debug)]
pub struct Reading<'a> {
    pub lines: Lines<'a>,
    pub variables: Variables<'a>,
    pub mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    /// Notes a mistake.
    pub fn mistake(&mut self, position: Position, message: impl Into<String>) {
        self.mistakes.push(Mistake {
            position,
            message: message.into(),
        });
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = value.get_ref().type_str();
        let position = self.lines.position(value.span().start);
        self.mistake(position, format!("{key} must be {expected}, and is {found}"));
    }

    /// A text with its variables replaced.
    fn text(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Marked<String>> {
        let position = self.lines.position(value.span().start);
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a text");
            return None;
        };
        match self.variables.expand(text) {
            Ok(value) => Some(Marked { value, position }),
            Err(message) => {
                self.mistake(position, message);
                None
            }
        }
    }

    /// A number.
    pub fn integer(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<i128> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a number");
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        if number.is_none() {
            self.wrong_type(key, value, "a number of at most 64 bits");
        }
        number
    }
}

/// A table whose keys are taken one by one.
#[derive(Debug)]
pub struct Table<'t> {
    entries: &'t DeTable<'t>,
    /// Where it begins.
    pub position: Position,
    taken: BTreeSet<&'static str>,
}

impl<'t> Table<'t> {
    /// A table that stands at `position`.
    pub fn new(entries: &'t DeTable<'t>, position: Position) -> Self {
        Self {
            entries,
            position,
            taken: BTreeSet::new(),
        }
    }

    /// The value of a key.
    pub fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.taken.insert(key);
        self.entries
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// The names of all keys and their values.
    pub fn all(&self) -> impl Iterator<Item = (&'t str, &'t Spanned<DeValue<'t>>)> {
        self.entries.iter().map(|(name, value)| (&**name.get_ref(), value))
    }

    /// A text.
    pub fn text(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<Marked<String>> {
        let value = self.value(key)?;
        reading.text(key, value)
    }

    /// A text whose key the recipe chooses.
    pub fn named_text(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<Marked<String>> {
        let (_, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        reading.text(key, value)
    }

    /// A text, empty where there is none.
    pub fn plain_text(&mut self, reading: &mut Reading<'_>, key: &'static str) -> String {
        self.text(reading, key).map(|text| text.value).unwrap_or_default()
    }

    /// A text that must be there and not empty.
    pub fn required_text(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Marked<String> {
        let position = self.position;
        let is_there = self.value(key).is_some();
        match self.text(reading, key) {
            Some(text) if text.value.is_empty() => {
                reading.mistake(text.position, format!("{key} is empty"));
                text
            }
            Some(text) => text,
            None => {
                if !is_there {
                    reading.mistake(position, format!("{key} is missing"));
                }
                let value = String::new();
                Marked { value, position }
            }
        }
    }

    /// Texts: one, or an array of them.
    pub fn texts(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Vec<Marked<String>> {
        match self.value(key).map(|value| (value, value.get_ref())) {
            None => Vec::new(),
            Some((_, DeValue::Array(array))) => array.iter().filter_map(|value| reading.text(key, value)).collect(),
            Some((value, DeValue::String(_))) => reading.text(key, value).into_iter().collect(),
            Some((value, _)) => {
                reading.wrong_type(key, value, "a text or an array of texts");
                Vec::new()
            }
        }
    }

    /// Yes or no; no where nothing is said.
    pub fn flag(&mut self, reading: &mut Reading<'_>, key: &'static str) -> bool {
        let Some(value) = self.value(key) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            reading.wrong_type(key, value, "true or false");
            false
        })
    }

    /// A number of at most `most`.
    pub fn number(&mut self, reading: &mut Reading<'_>, key: &'static str, most: u64) -> Option<u64> {
        let value = self.value(key)?;
        let number = reading.integer(key, value)?;
        let fitting = u64::try_from(number).ok().filter(|number| *number <= most);
        if fitting.is_none() {
            reading.wrong_type(key, value, &format!("a number from 0 to {most}"));
        }
        fitting
    }

    /// One of several words.
    pub fn choice<T: Copy>(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(reading, key)?;
        let chosen = choices.iter().find(|(word, _)| *word == text.value);
        if chosen.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let hint = did_you_mean(&text.value, words.iter().copied());
            let message = format!("{key} is one of {}, not {:?}{hint}", words.join(", "), text.value);
            reading.mistake(text.position, message);
        }
        chosen.map(|(_, value)| *value)
    }

    /// A table.
    pub fn table(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<Table<'t>> {
        let value = self.value(key)?;
        let table = table_of(reading, value);
        if table.is_none() {
            reading.wrong_type(key, value, "a table");
        }
        table
    }

    /// Tables: `[[key]]`.
    pub fn tables(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Vec<Table<'t>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let tables = value.get_ref().as_array().and_then(|array| {
            let tables = array.iter().map(|value| table_of(reading, value));
            tables.collect::<Option<Vec<_>>>()
        });
        tables.unwrap_or_else(|| {
            reading.wrong_type(key, value, &format!("tables, each begun with [[{key}]]"));
            Vec::new()
        })
    }

    /// Ends reading the table: keys that nobody took are mistakes.
    pub fn finish(self, reading: &mut Reading<'_>) {
        for (name, _) in self.entries {
            if !self.taken.contains(&**name.get_ref()) {
                let hint = did_you_mean(name.get_ref(), self.taken.iter().copied());
                let position = reading.lines.position(name.span().start);
                reading.mistake(position, format!("unknown key {:?}{hint}", name.get_ref()));
            }
        }
    }
}

fn table_of<'t>(reading: &Reading<'_>, value: &'t Spanned<DeValue<'t>>) -> Option<Table<'t>> {
    let position = reading.lines.position(value.span().start);
    value.get_ref().as_table().map(|table| Table::new(table, position))
}

/// `; did you mean "..."?`, where one of `words` is close to `word`.
pub fn did_you_mean<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> String {
    /// Longer words are nobody's slip, and comparing takes time.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return String::new();
    }
    let close = words
        .filter(|other| other.len() <= LONGEST)
        .map(|other| (strsim::damerau_levenshtein(word, other), other))
        .filter(|(distance, other)| distance * 3 <= other.chars().count())
        .min();
    close.map_or_else(String::new, |(_, other)| format!("; did you mean {other:?}?"))
}
