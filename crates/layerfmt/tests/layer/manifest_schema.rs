//! The published schema of manifests judged by real ones, with python3's jsonschema.

use crate::support::{everything, options, write};
use cv_image::Format;
use layerfmt::manifest::{
    Application, Applications, Architecture, ComClass, Counts, Dropped, EnvironmentAddition, EnvironmentVariable,
    FileAction, FileRule, FileType, Font, Kind, LayerReference, Manifest, OsRange, Policy, Program, Provenance,
    Readiness, RegistryRule, RunEntry, ScheduledTask, Sealed, SealedHive, Service, Shortcut,
};
use serde_json::Map;
use std::io::Write;
use std::process::{Command, Stdio};
use uuid::Uuid;

/// Validates each document; with `closed`, members that the schema does not describe are faults too.
const VALIDATE: &str = r"
import json, sys
try:
    from jsonschema import Draft202012Validator
except ImportError:
    sys.exit(3)
schema, documents, closed = json.load(sys.stdin)
Draft202012Validator.check_schema(schema)
def close(part):
    if isinstance(part, dict):
        if 'properties' in part: part['additionalProperties'] = False
        for value in part.values(): close(value)
    elif isinstance(part, list):
        for value in part: close(value)
if closed: close(schema)
validator = Draft202012Validator(schema)
told = lambda fault: f'{list(fault.absolute_path)} {fault.message}'
print(json.dumps([[told(fault) for fault in validator.iter_errors(document)] for document in documents]))
";

/// What is wrong with each of the documents; `None` where the validator is not there.
fn faults(documents: &[serde_json::Value], closed: bool) -> Option<Vec<Vec<String>>> {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/layer-manifest.schema.json")).unwrap();
    let started = Command::new("python3")
        .args(["-c", VALIDATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let output = started.map(|mut child| {
        let input = serde_json::json!([schema, documents, closed]).to_string();
        // It does not read where it has no validator.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    });
    let output = match output {
        Ok(output) if output.status.code() != Some(3) => output,
        _ => {
            assert!(std::env::var_os("CI").is_none(), "python3-jsonschema is not installed");
            eprintln!("skipped: python3-jsonschema is not installed");
            return None;
        }
    };
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// A manifest in which every member that there is has a value: one that is added to a type is missing here until it is set.
#[expect(clippy::too_many_lines, reason = "a list of all there is")]
fn full() -> Manifest {
    let text = || "text".to_owned();
    let other = Map::new;
    let reference = || LayerReference {
        name: text(),
        id: Some(Uuid::from_u128(7)),
        version: Some(">=1".to_owned()),
        other: other(),
    };
    let sealed = || Sealed {
        size: 7,
        other: other(),
        ..Sealed::default()
    };
    Manifest {
        schema: layerfmt::manifest::SCHEMA.to_owned(),
        id: Uuid::from_u128(1),
        name: text(),
        version: text(),
        publisher: text(),
        description: text(),
        kind: Kind::App,
        architecture: Architecture::X64,
        os: OsRange {
            minimum: Some(text()),
            maximum: Some(text()),
            other: other(),
        },
        created: "2023-11-14T22:13:20Z".to_owned(),
        creator: text(),
        provenance: Some(Provenance {
            method: text(),
            sources: vec![text()],
            rules: vec![text()],
            dropped: vec![Dropped {
                path: text(),
                rule: text(),
                reason: text(),
            }],
            readiness: Some(Readiness {
                os_version: text(),
                pending_reboot: Some(true),
                warnings: vec![text()],
                other: other(),
            }),
            other: other(),
        }),
        applications: Applications {
            installed: vec![Application {
                key: text(),
                name: text(),
                version: text(),
                publisher: text(),
                location: text(),
                uninstall: text(),
                is_msi: true,
                is_32_bit: true,
                is_per_user: true,
                icon: text(),
                other: other(),
            }],
            programs: vec![Program {
                path: text(),
                name: text(),
                description: text(),
                company: text(),
                version: text(),
                product_version: text(),
                architecture: Architecture::X86,
                other: other(),
            }],
            shortcuts: vec![Shortcut {
                path: text(),
                target: text(),
                arguments: text(),
                directory: text(),
                description: text(),
                icon: text(),
                other: other(),
            }],
            services: vec![Service {
                name: text(),
                display_name: text(),
                image: text(),
                start: "automatic".to_owned(),
                account: text(),
                is_driver: true,
                other: other(),
            }],
            file_types: vec![FileType {
                extension: text(),
                protocol: text(),
                class: text(),
                command: text(),
                other: other(),
            }],
            com_classes: vec![ComClass {
                clsid: text(),
                name: text(),
                server: text(),
                is_in_process: true,
                is_32_bit: true,
                other: other(),
            }],
            fonts: vec![Font {
                name: text(),
                file: text(),
                other: other(),
            }],
            run: vec![RunEntry {
                name: text(),
                command: text(),
                place: text(),
                other: other(),
            }],
            tasks: vec![ScheduledTask {
                path: text(),
                command: text(),
                arguments: text(),
                other: other(),
            }],
            environment: vec![EnvironmentVariable {
                name: text(),
                value: text(),
                is_per_user: true,
                other: other(),
            }],
            other: other(),
        },
        requires: vec![reference()],
        conflicts: vec![reference()],
        policy: Policy {
            files: vec![FileRule {
                path: text(),
                action: FileAction::DiscardAtLogoff,
                reason: text(),
                other: other(),
            }],
            registry: vec![RegistryRule {
                key: text(),
                action: FileAction::Merge,
                reason: text(),
                other: other(),
            }],
            environment: vec![EnvironmentAddition {
                name: text(),
                prepend: vec![text()],
                append: vec![text()],
                is_per_user: true,
                other: other(),
            }],
            other: other(),
        },
        counts: Counts {
            files: 1,
            directories: 2,
            links: 3,
            whiteouts: 4,
            opaque_directories: Some(1),
            bytes: u64::MAX,
            registry_keys: 6,
            registry_values: 7,
            other: other(),
        },
        index: sealed(),
        blocks: Some(sealed()),
        hives: vec![SealedHive {
            name: text(),
            size: 7,
            other: other(),
            ..SealedHive::default()
        }],
        other: other(),
    }
}

#[test]
fn the_schema_describes_every_member() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(&everything(), &folder.path().join("layer.img"), &options(Format::Raw));
    let json = |manifest: &Manifest| serde_json::to_value(manifest).unwrap();
    if let Some(faults) = faults(&[json(&full()), json(&written.manifest)], true) {
        assert_eq!(faults, [Vec::<String>::new(), Vec::new()]);
    }
}

#[test]
fn the_schema_allows_members_of_later_versions_and_refuses_what_is_wrong() {
    let mut later = serde_json::to_value(full()).unwrap();
    later["new"] = 1.into();
    later["counts"]["new"] = 1.into();
    let wrong = [("schema", "cvlayer/2"), ("kind", "application"), ("id", "no uuid")].map(|(member, value)| {
        let mut wrong = serde_json::to_value(full()).unwrap();
        wrong[member] = value.into();
        wrong
    });
    if let Some(faults) = faults(&[&[later][..], &wrong].concat(), false) {
        assert!(faults[0].is_empty(), "{:?}", faults[0]);
        assert!(faults[1..].iter().all(|faults| !faults.is_empty()), "{faults:?}");
    }
}
