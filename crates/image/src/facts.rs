//! What is known of an image, in a form that prints as text and as JSON.

/// One thing known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words.
    Text(String),
    /// A count, or a number with no unit.
    Number(u64),
    /// A size in bytes.
    Bytes(u64),
    /// Yes or no.
    Flag(bool),
    /// Several of a kind.
    List(Vec<Value>),
    /// Things that belong together.
    Group(Facts),
}

/// Named things, in the order in which a person wants them. Names are lower case with underscores and stay the same
/// from version to version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fact.
    pub fn add(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.push((name, value.into()));
        self
    }

    /// Adds a size in bytes.
    pub fn add_bytes(&mut self, name: &'static str, bytes: impl Into<u64>) -> &mut Self {
        self.add(name, Value::Bytes(bytes.into()))
    }

    /// Adds a fact if there is one.
    pub fn add_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.add(name, value);
        }
        self
    }

    /// The facts in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// The fact of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Facts> for Value {
    fn from(facts: Facts) -> Self {
        Self::Group(facts)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}
