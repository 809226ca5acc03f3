//! From the text of a recipe to what it says.

use super::mistake::{Lines, Marked, Mistake};
use super::model::{Hidden, Output, Recipe, RegistrySource, Script, Selection, Source, SourceKind};
use super::paths::in_layer;
use super::table::{Reading, Table};
use super::values::values;
use super::variables::Variables;
use super::{MAX_SIZE, Position, entries, globs};
use crate::manifest::{Architecture, FileAction, FileRule, Kind, LayerReference, OsRange, Policy, RegistryRule};
use crate::stack::{RuleError, VersionRange, check_key, check_path};
use std::collections::BTreeMap;
use toml::de::DeTable;

/// What to do at paths and keys.
const ACTIONS: [(&str, FileAction); 6] = [
    ("merge", FileAction::Merge),
    ("override", FileAction::Override),
    ("hide", FileAction::Hide),
    ("isolate", FileAction::Isolate),
    ("exclude", FileAction::Exclude),
    ("discard-at-logoff", FileAction::DiscardAtLogoff),
];

/// When scripts run.
const EVENTS: [&str; 4] = ["on-attach", "on-enable", "on-disable", "on-detach"];

impl Recipe {
    /// Understands the text of a recipe; else all mistakes in it, in its order.
    pub fn parse(text: &str, variables: Variables<'_>) -> Result<Self, Vec<Mistake>> {
        let lines = Lines::new(text);
        let mut reading = Reading {
            lines,
            variables,
            mistakes: Vec::new(),
        };
        let start = Position { line: 1, column: 1 };
        if text.len() > MAX_SIZE {
            reading.mistake(
                start,
                format!("the recipe has {} bytes, and {MAX_SIZE} are the most", text.len()),
            );
            return Err(reading.mistakes);
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let position = reading.lines.position(offset);
            reading.mistake(position, error.message().replace('\n', ", "));
        }
        // What could not be understood would bring further mistakes that are none.
        if !reading.mistakes.is_empty() {
            return Err(sorted(reading.mistakes));
        }
        let recipe = document_table(&mut reading, Table::new(document.get_ref(), start));
        if reading.mistakes.is_empty() {
            Ok(recipe)
        } else {
            Err(sorted(reading.mistakes))
        }
    }
}

fn sorted(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    mistakes.sort_by_key(|mistake| mistake.position);
    mistakes.dedup();
    mistakes
}

/// Reads one table of a section.
type Section = fn(&mut Reading<'_>, Table<'_>, &mut Recipe);

fn document_table(reading: &mut Reading<'_>, mut document: Table<'_>) -> Recipe {
    if let Some(table) = document.table(reading, "variables") {
        variables(reading, &table);
    }
    let layer = document.table(reading, "layer");
    if layer.is_none() && document.value("layer").is_none() {
        reading.mistake(document.position, "the table [layer] is missing");
    }
    let mut recipe = layer_table(reading, layer);
    for table in document.tables(reading, "source") {
        source(reading, table, &mut recipe);
    }
    for table in document.tables(reading, "registry") {
        registry(reading, table, &mut recipe);
    }
    let sections: [(&'static str, Section); 8] = [
        ("shortcut", entries::shortcut),
        ("environment", entries::environment),
        ("service", entries::service),
        ("file-type", entries::file_type),
        ("protocol", entries::protocol),
        ("font", entries::font),
        ("application", entries::application),
        ("run", entries::run),
    ];
    for (key, read) in sections {
        for table in document.tables(reading, key) {
            read(reading, table, &mut recipe);
        }
    }
    for table in document.tables(reading, "hide") {
        hide(reading, table, &mut recipe);
    }
    recipe.requires = references(reading, &mut document, "requires");
    recipe.conflicts = references(reading, &mut document, "conflicts");
    if let Some(table) = document.table(reading, "scripts") {
        scripts(reading, table, &mut recipe);
    }
    if let Some(table) = document.table(reading, "policy") {
        recipe.policy = policy(reading, table);
    }
    if let Some(table) = document.table(reading, "output") {
        recipe.output = output(reading, table);
    }
    if let Some(mut table) = document.table(reading, "sign") {
        recipe.signing_key = Some(table.required_text(reading, "key"));
        table.finish(reading);
    }
    document.finish(reading);
    recipe
}

fn variables(reading: &mut Reading<'_>, table: &Table<'_>) {
    let mut named = BTreeMap::new();
    let mut misread = Vec::new();
    for (name, value) in table.all() {
        match value.get_ref().as_str() {
            Some(text) => {
                named.insert(name.to_owned(), text.to_owned());
            }
            None => misread.push((reading.lines.position(value.span().start), name.to_owned())),
        }
    }
    for (position, name) in misread {
        reading.mistake(position, format!("the variable {name} must be a text"));
    }
    reading.variables.recipe = named;
    // A variable that nothing uses is no mistake, one that cannot have a value is.
    for (_, value) in table.all() {
        let Some(text) = value.get_ref().as_str() else { continue };
        if let Err(message) = reading.variables.expand(text) {
            let position = reading.lines.position(value.span().start);
            reading.mistake(position, message);
        }
    }
}

fn layer_table(reading: &mut Reading<'_>, table: Option<Table<'_>>) -> Recipe {
    let mut recipe = empty();
    let Some(mut table) = table else { return recipe };
    let kinds = [
        ("base", Kind::Base),
        ("app", Kind::App),
        ("data", Kind::Data),
        ("writable", Kind::Writable),
    ];
    let architectures = [
        ("neutral", Architecture::Neutral),
        ("x86", Architecture::X86),
        ("x64", Architecture::X64),
        ("arm64", Architecture::Arm64),
    ];
    recipe.name = table.required_text(reading, "name").value;
    recipe.version = table.plain_text(reading, "version");
    recipe.publisher = table.plain_text(reading, "publisher");
    recipe.description = table.plain_text(reading, "description");
    recipe.kind = table.choice(reading, "kind", &kinds).unwrap_or(Kind::App);
    recipe.architecture = table.choice(reading, "architecture", &architectures);
    recipe.id = id(reading, &mut table);
    if let Some(mut os) = table.table(reading, "os") {
        recipe.os = OsRange {
            minimum: windows_version(reading, &mut os, "minimum"),
            maximum: windows_version(reading, &mut os, "maximum"),
            ..OsRange::default()
        };
        os.finish(reading);
    }
    table.finish(reading);
    recipe
}

fn empty() -> Recipe {
    Recipe {
        name: String::new(),
        version: String::new(),
        publisher: String::new(),
        description: String::new(),
        kind: Kind::App,
        architecture: None,
        os: OsRange::default(),
        id: None,
        requires: Vec::new(),
        conflicts: Vec::new(),
        policy: Policy::default(),
        additions: Vec::new(),
        sources: Vec::new(),
        registry: Vec::new(),
        shortcuts: Vec::new(),
        variables: Vec::new(),
        services: Vec::new(),
        file_types: Vec::new(),
        protocols: Vec::new(),
        fonts: Vec::new(),
        applications: Vec::new(),
        run: Vec::new(),
        hidden: Vec::new(),
        scripts: Vec::new(),
        output: Output::default(),
        signing_key: None,
    }
}

fn id(reading: &mut Reading<'_>, table: &mut Table<'_>) -> Option<uuid::Uuid> {
    let text = table.text(reading, "id")?;
    let id = text.value.parse().ok();
    if id.is_none() {
        reading.mistake(text.position, format!("{:?} is no UUID", text.value));
    }
    id
}

fn windows_version(reading: &mut Reading<'_>, table: &mut Table<'_>, key: &'static str) -> Option<String> {
    let text = table.text(reading, key)?;
    let is_one = text.value.split('.').all(|number| number.parse::<u32>().is_ok());
    if !is_one {
        let message = format!("{key} is a version such as \"10.0.19045\", not {:?}", text.value);
        reading.mistake(text.position, message);
    }
    Some(text.value)
}

fn source(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let kinds = [
        ("folder", SourceKind::Folder),
        ("file", SourceKind::File),
        ("archive", SourceKind::Archive),
        ("wheel", SourceKind::Archive),
        ("layer", SourceKind::Layer),
        ("image", SourceKind::Image),
    ];
    let mut named: Vec<(SourceKind, Marked<String>)> = Vec::new();
    let mut is_misread = false;
    for (key, kind) in kinds {
        let is_there = table.value(key).is_some();
        match table.text(reading, key) {
            Some(path) => named.push((kind, path)),
            None => is_misread |= is_there,
        }
    }
    let into = match table.text(reading, "into") {
        Some(into) => Marked {
            value: in_layer(reading, &into),
            position: into.position,
        },
        None => Marked {
            value: String::new(),
            position: table.position,
        },
    };
    let include = table.texts(reading, "include");
    let exclude = table.texts(reading, "exclude");
    let selection = Selection {
        include: (!include.is_empty()).then(|| globs::set(reading, &include)),
        exclude: globs::set(reading, &exclude),
        strip: table.number(reading, "strip", 64).unwrap_or_default() as usize,
    };
    let from = table.text(reading, "from");
    let from = from.map(|from| in_layer(reading, &from)).unwrap_or_default();
    let name = table.text(reading, "name");
    let has_hives = table.flag(reading, "registry");
    if let ([_], Some((kind, path))) = (&named[..], named.first().cloned()) {
        if let Some(name) = name.as_ref().filter(|_| kind != SourceKind::File) {
            reading.mistake(name.position, "name is for a source that is one file");
        }
        recipe.sources.push(Source {
            kind,
            path,
            into,
            name: name.map(|name| file_name(reading, &name)),
            selection,
            from,
            has_hives,
        });
    } else if !is_misread {
        let message = "a source has one of folder, file, archive, wheel, layer or image";
        reading.mistake(table.position, message);
    }
    table.finish(reading);
}

/// The name of one file.
fn file_name(reading: &mut Reading<'_>, name: &Marked<String>) -> String {
    let checked = in_layer(reading, name);
    if checked.is_empty() || checked.contains('\\') {
        reading.mistake(name.position, "name is that of a file, not a path");
    }
    checked
}

fn registry(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let file = table.text(reading, "file");
    let hive = table.text(reading, "hive");
    let key = table.text(reading, "key");
    let is_deleted = table.flag(reading, "delete");
    let values = table.table(reading, "values").map(|table| values(reading, &table));
    match (file, hive, key) {
        (Some(file), None, None) if values.is_none() && !is_deleted => recipe.registry.push(RegistrySource::Text(file)),
        (None, Some(path), Some(key)) if values.is_none() && !is_deleted => {
            recipe.registry.push(RegistrySource::Hive { path, key: key.value });
        }
        (None, None, Some(key)) => recipe.registry.push(RegistrySource::Key {
            key,
            values: values.unwrap_or_default(),
            is_deleted,
        }),
        _ => {
            let message = "a registry table has a file; or a hive and a key; or a key with values or delete = true";
            reading.mistake(table.position, message);
        }
    }
    table.finish(reading);
}

fn hide(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    let path = table.required_text(reading, "path");
    let value = in_layer(reading, &path);
    recipe.hidden.push(Hidden {
        path: Marked {
            value,
            position: path.position,
        },
        is_opaque: table.flag(reading, "opaque"),
    });
    table.finish(reading);
}

fn references(reading: &mut Reading<'_>, document: &mut Table<'_>, key: &'static str) -> Vec<LayerReference> {
    let mut references = Vec::new();
    for mut table in document.tables(reading, key) {
        let version = table.text(reading, "version");
        if let Some(version) = &version
            && VersionRange::parse(&version.value).is_err()
        {
            reading.mistake(version.position, "version is comparisons such as \">=1.2, <2\"");
        }
        references.push(LayerReference {
            name: table.required_text(reading, "name").value,
            id: id(reading, &mut table),
            version: version.map(|version| version.value),
            ..LayerReference::default()
        });
        table.finish(reading);
    }
    references
}

fn scripts(reading: &mut Reading<'_>, mut table: Table<'_>, recipe: &mut Recipe) {
    for event in EVENTS {
        if let Some(path) = table.text(reading, event) {
            let file = path.value.rsplit(['/', '\\']).next().unwrap_or_default();
            let name = match file.rsplit_once('.') {
                Some((_, extension)) => format!("{event}.{extension}"),
                None => event.to_owned(),
            };
            recipe.scripts.push(Script { name, path });
        }
    }
    for path in table.texts(reading, "files") {
        let name = path.value.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        recipe.scripts.push(Script { name, path });
    }
    table.finish(reading);
}

fn policy(reading: &mut Reading<'_>, mut table: Table<'_>) -> Policy {
    let mut policy = Policy::default();
    for mut rule in table.tables(reading, "files") {
        let path = rule.required_text(reading, "path");
        sound_rule(reading, &path, check_path);
        let action = rule.choice(reading, "action", &ACTIONS);
        missing_action(reading, &mut rule);
        policy.files.push(FileRule {
            path: path.value,
            action: action.unwrap_or(FileAction::Merge),
            reason: rule.plain_text(reading, "reason"),
            other: serde_json::Map::new(),
        });
        rule.finish(reading);
    }
    for mut rule in table.tables(reading, "registry") {
        let key = rule.required_text(reading, "key");
        sound_rule(reading, &key, check_key);
        let action = rule.choice(reading, "action", &ACTIONS);
        missing_action(reading, &mut rule);
        policy.registry.push(RegistryRule {
            key: key.value,
            action: action.unwrap_or(FileAction::Merge),
            reason: rule.plain_text(reading, "reason"),
            other: serde_json::Map::new(),
        });
        rule.finish(reading);
    }
    table.finish(reading);
    policy
}

/// Refuses a rule that no layer may have; one that is not there was told before.
fn sound_rule(reading: &mut Reading<'_>, place: &Marked<String>, check: impl Fn(&str) -> Result<(), RuleError>) {
    if let Err(error) = check(&place.value)
        && !place.value.is_empty()
    {
        reading.mistake(place.position, error.to_string());
    }
}

fn missing_action(reading: &mut Reading<'_>, rule: &mut Table<'_>) {
    if rule.value("action").is_none() {
        reading.mistake(rule.position, "action is missing");
    }
}

fn output(reading: &mut Reading<'_>, mut table: Table<'_>) -> Output {
    let output = Output {
        format: table.text(reading, "format"),
        subformat: table.text(reading, "subformat"),
        block_size: table.number(reading, "block-size", 1 << 30),
        cluster_size: table.number(reading, "cluster-size", 2 << 20),
        disk_size: table.number(reading, "disk-size", 64 << 40),
    };
    table.finish(reading);
    output
}
