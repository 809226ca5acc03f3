//! The report as one page, for people: what is in the layer, what is not and why, and what was found, to search in.

use crate::build::Report;
use layerfmt::Manifest;
use serde_json::json;

/// The page, without the data.
const PAGE: &str = include_str!("page.html");

/// Stands where the data belongs.
const PLACE: &str = "@DATA@";

/// The page. It needs nothing but itself.
pub fn page(manifest: &Manifest, report: &Report) -> String {
    let data = json!({
        "title": format!("{} {}", manifest.name, manifest.version).trim(),
        "applications": manifest.applications,
        "report": report,
    });
    // Nothing in it can end the script, or be taken for markup.
    let data = data
        .to_string()
        .replace('<', r"\u003c")
        .replace("\u{2028}", r"\u2028")
        .replace("\u{2029}", r"\u2029");
    PAGE.replacen(PLACE, &data, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerfmt::Kind;

    #[test]
    fn nothing_of_the_data_ends_the_script() {
        let manifest = Manifest::new("</script><b>@DATA@", "1", Kind::App);
        let page = page(&manifest, &Report::default());
        assert_eq!(page.matches("</script>").count(), 1);
        assert_eq!(page.matches("<b>").count(), 0);
        let (_, data) = page.split_once("const data = ").unwrap();
        let data = data.split(";\n").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["title"], "</script><b>@DATA@ 1");
    }
}
