//! What the fuzz target `rules` does with its input.

use cv_capture::rules::{Platform, RuleFile, RuleSet, Subject, check_examples, shipped_files};

/// Reads a rule file, checks its examples, and decides about some paths.
pub fn rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(file) = RuleFile::parse("fuzz", &text) else {
        return;
    };
    let _ = check_examples(Platform::Windows, shipped_files(), &file);
    let Ok(set) = RuleSet::new(Platform::Windows, [&file]) else {
        return;
    };
    for subject in [
        r"\Windows\Temp\a.tmp",
        r"HKLM\SOFTWARE\Classes\CLSID\{0}",
        r"HKCU\Software\App!Value",
    ] {
        if let Some(subject) = Subject::parse(subject) {
            set.decide(&subject);
        }
    }
}
