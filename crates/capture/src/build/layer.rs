//! Everything that changed, as the content of a layer.

use super::environment::take_additions;
use super::gather::Gathered;
use super::installer::Installer;
use super::report::Report;
use super::select::{Selection, select};
use crate::rules::RuleSet;
use crate::snapshot::Readiness;
use layerfmt::content::Content;
use layerfmt::{Kind, Manifest, applications};

/// What is to be said of the layer.
#[derive(Debug, Default)]
pub struct LayerOptions {
    /// Its name; without one that of the application found in it, else `otherwise`.
    pub name: Option<String>,
    /// Its name where nothing else says one.
    pub otherwise: String,
    /// Its version; without one that of the application found in it.
    pub version: Option<String>,
    /// Who made the application; without one what the application says.
    pub publisher: Option<String>,
    /// How it was captured: `diff`, `run`, `finish` or `rebuild`.
    pub method: String,
    /// What it was captured from.
    pub sources: Vec<String>,
    /// Whether what the install deleted is deleted by the layer too.
    pub apply_deletions: bool,
    /// How the installer ran.
    pub installer: Option<Installer>,
}

/// The content of the layer, and what became of everything that changed.
pub fn content(
    mut gathered: Gathered,
    rules: &RuleSet,
    readiness: Readiness,
    options: LayerOptions,
) -> (Content, Report) {
    let selection = Selection {
        rules,
        apply_deletions: options.apply_deletions,
    };
    let mut report = select(
        &mut gathered.files,
        &mut gathered.hives,
        &gathered.items,
        &gathered.template,
        &selection,
    );
    report.set_readiness(readiness);
    report.counts.touched = gathered.touched;
    report.problems = gathered.problems;
    report.installer = options.installer;
    let mut content = Content::new(Manifest::new("", "", Kind::App));
    content.manifest.policy.environment = take_additions(&mut gathered.hives, &gathered.environment);
    content.files = gathered.files;
    content.hives = gathered.hives;
    let found = applications::find(&content);
    let main = found
        .applications
        .installed
        .iter()
        .find(|application| !application.name.is_empty());
    let of_main = |text: fn(&layerfmt::manifest::Application) -> &String| main.map(text).cloned();
    let manifest = &mut content.manifest;
    manifest.name = options
        .name
        .or_else(|| of_main(|application| &application.name))
        .unwrap_or(options.otherwise);
    manifest.version = options
        .version
        .or_else(|| of_main(|application| &application.version))
        .unwrap_or_default();
    manifest.publisher = options
        .publisher
        .or_else(|| of_main(|application| &application.publisher))
        .unwrap_or_default();
    if let Some(architecture) = found.architecture {
        manifest.architecture = architecture;
    }
    manifest.applications = found.applications;
    manifest.provenance = Some(report.provenance(&options.method, options.sources));
    (content, report)
}
