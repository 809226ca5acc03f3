//! The report as one page, for people.

use crate::build::{Captured, Report};
use crate::rules::Action;
use layerfmt::Manifest;
use std::fmt::Write;

/// Rows of a table at most: a browser must still show the page.
const MOST_ROWS: usize = 20_000;

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em;max-width:90em}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #ddd;vertical-align:top}\
td:first-child{font-family:monospace;word-break:break-all}summary{font-size:1.2em;margin:.8em 0;cursor:pointer}";

/// The page.
pub fn page(manifest: &Manifest, report: &Report) -> String {
    let mut page = String::new();
    let title = format!("{} {}", manifest.name, manifest.version);
    let title = escaped(title.trim());
    let counts = &report.counts;
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\
         <body>\n<h1>{title}</h1>\n<p>{} items in the layer, {} of them to look at; {} left out ({} bytes); {} deleted by the \
         install.</p>\n",
        counts.kept, counts.review, counts.dropped, counts.dropped_bytes, counts.deleted
    );
    let installed = &manifest.applications.installed;
    let shortcuts = manifest
        .applications
        .shortcuts
        .iter()
        .map(|shortcut| shortcut.path.clone());
    let services = manifest
        .applications
        .services
        .iter()
        .map(|service| service.name.clone());
    let applications = installed
        .iter()
        .map(|found| format!("{} {}", found.name, found.version));
    list(&mut page, "Applications", applications);
    list(&mut page, "Shortcuts", shortcuts);
    list(&mut page, "Services", services);
    list(&mut page, "Warnings", report.warnings.iter().cloned());
    list(&mut page, "Problems", report.problems.iter().map(ToString::to_string));
    let leftovers = report.leftovers.iter();
    list(
        &mut page,
        "Tells of the packager",
        leftovers.map(|left| format!("{}: {}", left.place, left.found)),
    );
    let of = |wanted: &dyn Fn(&Captured) -> bool| -> Vec<&Captured> {
        report.items.iter().filter(|item| wanted(item)).collect()
    };
    let review = of(&|item| item.action == Action::Review);
    table(&mut page, "To look at", &review, true);
    let kept = of(&|item| item.applied && item.action != Action::Review);
    table(&mut page, "In the layer", &kept, false);
    let dropped = of(&|item| item.action == Action::Drop);
    table(&mut page, "Left out", &dropped, false);
    let deleted = of(&|item| !item.applied && !matches!(item.action, Action::Drop | Action::Review));
    table(&mut page, "Deleted by the install, not by the layer", &deleted, false);
    page.push_str("</body></html>\n");
    page
}

fn list(page: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        let _ = write!(page, "<h2>{title}</h2>\n<ul>\n");
        for item in items {
            let _ = writeln!(page, "<li>{}</li>", escaped(&item));
        }
        page.push_str("</ul>\n");
    }
}

fn table(page: &mut String, title: &str, items: &[&Captured], is_open: bool) {
    if items.is_empty() {
        return;
    }
    let open = if is_open { " open" } else { "" };
    let _ = write!(
        page,
        "<details{open}><summary>{title} ({})</summary>\n<table><tr><th>what</th><th>change</th><th>rule</th><th>why</th></tr>\n",
        items.len()
    );
    for item in items.iter().take(MOST_ROWS) {
        let change = serde_json::to_value(&item.change).unwrap_or_default();
        let change = change.as_str().unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{change} {}</td><td>{}</td><td>{}</td></tr>",
            escaped(&item.path),
            escaped(&item.detail),
            escaped(&item.rule),
            escaped(&item.reason)
        );
    }
    if items.len() > MOST_ROWS {
        let _ = writeln!(page, "<tr><td colspan=4>and {} more</td></tr>", items.len() - MOST_ROWS);
    }
    page.push_str("</table></details>\n");
}

/// Text with what HTML would take for markup escaped, and what would reorder or hide text shown by its number.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.extend(c.escape_unicode());
            }
            c if c.is_control() => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}
