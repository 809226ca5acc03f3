//! Variables: `${NAME}` in texts.

use std::collections::BTreeMap;

/// Bytes of a text with its variables replaced at most.
const MAX_TEXT: usize = 1 << 20;

/// Variables that lead to each other at most.
const MAX_DEPTH: usize = 32;

/// Where values of variables come from: what the caller sets goes before what the recipe says, and that before the
/// environment.
pub struct Variables<'a> {
    /// What the caller sets.
    pub set: BTreeMap<String, String>,
    /// The environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// What the recipe says, with variables of its own in it.
    pub(super) recipe: BTreeMap<String, String>,
}

impl std::fmt::Debug for Variables<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variables")
            .field("set", &self.set)
            .field("recipe", &self.recipe)
            .finish_non_exhaustive()
    }
}

impl<'a> Variables<'a> {
    /// Variables with these values set by the caller.
    pub fn new(set: BTreeMap<String, String>, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            set,
            environment,
            recipe: BTreeMap::new(),
        }
    }

    /// The text with its variables replaced; `$$` stands for `$`. Where that fails, why.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut length = 0;
        self.expanded(text, 0, &mut length)
    }

    fn expanded(&self, text: &str, depth: usize, length: &mut usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err("variables lead to each other in a circle".to_owned());
        }
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = behind;
            } else if let Some(inner) = rest.strip_prefix('{') {
                let end = inner.find('}').ok_or("a variable has no } behind it")?;
                expanded.push_str(&self.value(&inner[..end], depth, length)?);
                rest = &inner[end + 1..];
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        *length += expanded.len() + 1;
        if *length > MAX_TEXT {
            return Err(format!("variables make the text longer than {MAX_TEXT} bytes"));
        }
        Ok(expanded)
    }

    fn value(&self, name: &str, depth: usize, length: &mut usize) -> Result<String, String> {
        if let Some(value) = self.set.get(name) {
            return Ok(value.clone());
        }
        if let Some(text) = self.recipe.get(name) {
            return self.expanded(text, depth + 1, length);
        }
        (self.environment)(name).ok_or_else(|| {
            let names = self.set.keys().chain(self.recipe.keys()).map(String::as_str);
            let hint = super::table::did_you_mean(name, names);
            format!("the variable {name} has no value{hint}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_order_and_their_ends() {
        let environment = |name: &str| (name == "HOME" || name == "A").then(|| format!("environment's {name}"));
        let mut variables = Variables::new(BTreeMap::from([("S".into(), "${not}".into())]), &environment);
        let recipe = [
            ("A", "recipe's"),
            ("B", "${A} ${HOME}"),
            ("S", "no"),
            ("X", "${Y}"),
            ("Y", "${X}"),
        ];
        variables.recipe = recipe.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let expand = |text: &str| variables.expand(text).unwrap_or_else(|error| error);
        assert_eq!(expand("a ${B} $$ $x ${S}"), "a recipe's environment's HOME $ $x ${not}");
        assert_eq!(expand("${X}"), "variables lead to each other in a circle");
        assert_eq!(expand("${B"), "a variable has no } behind it");
        assert_eq!(expand("${C}"), "the variable C has no value");
        // Each doubles the one before.
        let doubling = (1..30).map(|number| (format!("D{number}"), format!("${{D{0}}}${{D{0}}}", number - 1)));
        variables.recipe = doubling.chain([("D0".to_owned(), "12345678".to_owned())]).collect();
        assert!(variables.expand("${D29}").unwrap_err().contains("longer"));
    }
}
