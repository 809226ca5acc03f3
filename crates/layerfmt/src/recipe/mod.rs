//! Recipes: a text under version control that says what a layer is made of.
//!
//! A recipe is TOML; `docs/recipe.md` says every key. It is read in two steps: [`Recipe::parse`] understands the text, and
//! [`build`] gathers what it names into a [`Content`](crate::Content). Both tell all mistakes they find, each with its line
//! and column.
//!
//! ```
//! use layerfmt::recipe::{Recipe, Variables};
//!
//! let text = "[layer]\nname = 'CMake'\nversion = '${VERSION}'\n\n[variables]\nVERSION = '3.31.6'\n";
//! let nowhere = |_: &str| None;
//! let recipe = Recipe::parse(text, Variables::new(Default::default(), &nowhere)).map_err(|mistakes| mistakes[0].to_string())?;
//! assert_eq!(recipe.version, "3.31.6");
//!
//! let mistakes = Recipe::parse("[layer]\nnmae = 'CMake'\n", Variables::new(Default::default(), &nowhere)).unwrap_err();
//! assert_eq!(mistakes[1].to_string(), "2:1: unknown key \"nmae\"; did you mean \"name\"?");
//! # Ok::<(), String>(())
//! ```

mod build;
mod entries;
mod font;
mod globs;
mod host;
mod mistake;
mod model;
mod parse;
mod paths;
mod select;
mod table;
mod values;
mod variables;

pub use build::{BuildOptions, Host, HostError, build};
pub use host::{Outside, RecipeFolder};
pub use mistake::{Marked, Mistake, Position, RecipeError};
pub use model::{
    FontEntry, Hidden, Output, Recipe, RegistrySource, Script, Selection, ShortcutEntry, Source, SourceKind,
};
pub use select::graft;
pub use variables::Variables;

/// Bytes of a recipe at most.
pub const MAX_SIZE: usize = 4 << 20;
