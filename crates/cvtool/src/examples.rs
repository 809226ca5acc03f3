//! Examples of every command, shown by its help and its manual page. A test reads each as the command line does.

use clap::Command;

/// A command, and lines that one might type with what they are for.
type Examples = (&'static str, &'static [(&'static str, &'static str)]);

const EXAMPLES: &[Examples] = &[
    (
        "demo",
        &[
            ("into the folder cvtool-demo", "cvtool demo"),
            ("into another", "cvtool demo /tmp/layers"),
        ],
    ),
    (
        "capture diff",
        &[
            (
                "of two disks of one machine",
                "cvtool capture diff --before before.vhdx --after after.vhdx -o app.vhdx",
            ),
            (
                "with rules of your own and a page that says what was left out",
                "cvtool capture diff --before before.vhdx --after after.vhdx --rules mine.toml --html report.html -o app.vmdk",
            ),
        ],
    ),
    (
        "capture run",
        if cfg!(windows) {
            &[
                (
                    "a silent setup program",
                    "cvtool capture run -o app.vhdx -- setup.exe /S",
                ),
                (
                    "a package of Windows Installer with a property",
                    "cvtool capture run -o app.vhdx -- app.msi ALLUSERS=1",
                ),
            ]
        } else {
            &[
                (
                    "a silent setup program",
                    "cvtool capture run --wine ~/prefix -o app.vhdx -- setup.exe /S",
                ),
                (
                    "a package of Windows Installer with a property",
                    "cvtool capture run --wine ~/prefix -o app.vhdx -- app.msi ALLUSERS=1",
                ),
            ]
        },
    ),
    (
        "capture start",
        &[(
            "of a Wine prefix; then install what you like, and finish",
            "cvtool capture start ~/prefix --state state",
        )],
    ),
    (
        "capture finish",
        &[("after the install", "cvtool capture finish --state state -o app.vhdx")],
    ),
    (
        "capture rebuild",
        &[(
            "with other rules, without installing again",
            "cvtool capture rebuild --state state --rules mine.toml -o app.vhdx",
        )],
    ),
    (
        "capture rules test",
        &[("a rule file's own examples", "cvtool capture rules test mine.toml")],
    ),
    (
        "capture rules explain",
        &[(
            "files, keys and values",
            r"cvtool capture rules explain '\Windows\Temp\setup.log' 'HKLM\SOFTWARE\Vendor!Version'",
        )],
    ),
    (
        "image info",
        &[("format, sizes and parents", "cvtool image info disk.vhdx")],
    ),
    (
        "image check",
        &[
            ("the container and the volumes in it", "cvtool image check disk.vhdx"),
            ("and mend what needs no guess", "cvtool image check --repair disk.vhdx"),
        ],
    ),
    ("image map", &[("where data is", "cvtool image map --json disk.vmdk")]),
    (
        "image create",
        &[
            ("an empty disk", "cvtool image create disk.vhdx 64G"),
            ("a child of it", "cvtool image create child.vhdx --parent disk.vhdx"),
        ],
    ),
    (
        "image convert",
        &[
            ("to another container", "cvtool image convert disk.vhdx disk.vmdk"),
            (
                "to a compressed one for transport",
                "cvtool image convert disk.vhdx disk.vmdk --subformat streamOptimized",
            ),
        ],
    ),
    (
        "image resize",
        &[
            ("10 GiB more", "cvtool image resize disk.vhdx +10G"),
            ("smaller", "cvtool image resize --shrink disk.vhdx 32G"),
        ],
    ),
    (
        "image compact",
        &[("give back what zeros take", "cvtool image compact disk.vhdx")],
    ),
    (
        "image rebase",
        &[
            (
                "the parent was moved",
                "cvtool image rebase --relink --parent base/disk.vhdx child.vhdx",
            ),
            ("need no parent any more", "cvtool image rebase --none child.vhdx"),
        ],
    ),
    ("image commit", &[("into its parent", "cvtool image commit child.vhdx")]),
    (
        "image compare",
        &[("in any two containers", "cvtool image compare disk.vhdx disk.vmdk")],
    ),
    (
        "image pack",
        &[
            (
                "a folder as a disk that Windows attaches",
                "cvtool image pack folder -o disk.vhdx",
            ),
            (
                "with the hashes of all contents",
                "cvtool image pack folder -o disk.vhdx --sha256 folder.sha256",
            ),
        ],
    ),
    (
        "reg",
        &[
            ("the root of a hive", "cvtool reg NTUSER.DAT"),
            (
                "everything below a key",
                r"cvtool reg -r SOFTWARE 'HKLM\SOFTWARE\Vendor'",
            ),
            (
                "all of it as regedit writes it",
                "cvtool reg SOFTWARE --export software.reg",
            ),
        ],
    ),
    (
        "reg get",
        &[("one value", r"cvtool reg get SOFTWARE 'HKLM\SOFTWARE\Vendor' Version")],
    ),
    (
        "reg set",
        &[
            ("a text", r"cvtool reg set SOFTWARE 'Vendor\App' Home 'C:\App'"),
            ("a number", r"cvtool reg set SOFTWARE 'Vendor\App' Major 3 -t dword"),
        ],
    ),
    (
        "reg delete",
        &[
            ("a value", r"cvtool reg delete SOFTWARE 'Vendor\App' Home"),
            ("a key with all below it", r"cvtool reg delete SOFTWARE 'Vendor\App'"),
        ],
    ),
    (
        "reg import",
        &[
            ("into a hive", "cvtool reg import SOFTWARE changes.reg"),
            ("into a new one", "cvtool reg import --new SOFTWARE all.reg"),
        ],
    ),
    ("reg check", &[("list faults", "cvtool reg check SYSTEM")]),
    (
        "reg recover",
        &[("from the logs beside it", "cvtool reg recover SYSTEM")],
    ),
    (
        "reg diff",
        &[
            ("of any forms", "cvtool reg diff before.reg NTUSER.DAT"),
            ("as a patch", "cvtool reg diff OLD NEW --export changes.reg"),
        ],
    ),
    ("inspect", &[("what it is", "cvtool inspect app.vhdx")]),
    (
        "verify",
        &[
            ("everything in it", "cvtool verify app.vhdx"),
            (
                "and that an accepted key signed it",
                "cvtool verify app.vhdx --trust trusted-keys",
            ),
        ],
    ),
    (
        "build",
        &[
            ("a layer from a recipe", "cvtool build cmake.toml -o cmake.vhdx"),
            (
                "with a variable of the recipe",
                "cvtool build cmake.toml --set VERSION=3.31.6 -o cmake.vmdk",
            ),
        ],
    ),
    (
        "edit",
        &[
            (
                "another file, another value, into a new layer",
                r"cvtool edit app.vhdx -o new.vhdx --add app.ini '%ProgramFiles%\App\app.ini' --set-value 'HKLM\SOFTWARE\App' Version sz 1.1",
            ),
            (
                "hide what an older version left below, in place, and sign it again",
                r"cvtool edit app.vhdx --in-place --hide '\Program Files\Old App' --key packager.key",
            ),
        ],
    ),
    (
        "squash",
        &[(
            "an application and its updates, the lowest first",
            "cvtool squash app.vhdx update-1.vhdx update-2.vhdx -o app-2.vhdx",
        )],
    ),
    (
        "export",
        &[
            (
                "as an OCI image, which skopeo copies to a registry",
                "cvtool export app.vhdx -o app.oci",
            ),
            ("as a packed tar", "cvtool export app.vhdx -o app.tar.zst"),
            ("as a plain folder", "cvtool export app.vhdx -o app --as folder"),
        ],
    ),
    (
        "import",
        &[
            ("an OCI image", "cvtool import app.oci -o app.vhdx"),
            (
                "the second layer of a container's image",
                "cvtool import image.oci --layer 2 --name App -o app.vhdx",
            ),
        ],
    ),
    (
        "ls",
        &[
            ("the root of a disk's volume", "cvtool ls disk.vhdx"),
            (
                "a folder of a layer, with all that is known",
                "cvtool ls -l app.vhdx '/Program Files'",
            ),
        ],
    ),
    ("tree", &[("of a layer", "cvtool tree app.vhdx '/Program Files'")]),
    (
        "cat",
        &[("a file", "cvtool cat app.vhdx '/Program Files/App/readme.txt'")],
    ),
    ("extract", &[("all of it", "cvtool extract app.vhdx -C folder")]),
    (
        "diff",
        &[
            (
                "two versions, without what means nothing",
                "cvtool diff --semantic app-1.vhdx app-2.vhdx",
            ),
            (
                "as a page to search in",
                "cvtool diff app-1.vhdx app-2.vhdx --html diff.html",
            ),
        ],
    ),
    (
        "conflicts",
        &[(
            "before a stack is deployed",
            "cvtool conflicts runtime.vhdx app.vhdx plugin.vhdx",
        )],
    ),
    (
        "explain",
        &[
            (
                "a path",
                r"cvtool explain runtime.vhdx app.vhdx 'C:\Windows\System32\msvcp140.dll'",
            ),
            ("a key", r"cvtool explain runtime.vhdx app.vhdx 'HKLM\SOFTWARE\Vendor'"),
        ],
    ),
    (
        "keygen",
        &[("writes packager.key and packager.pub", "cvtool keygen packager.key")],
    ),
    ("sign", &[("in place", "cvtool sign app.vhdx --key packager.key")]),
    (
        "mount",
        &[(
            "layers over a Windows disk, with a folder for what changes",
            "cvtool mount --base windows.vhdx --layer app.vhdx --writable changes mnt",
        )],
    ),
    (
        "run",
        &[(
            "a program of a layer, which is looked up in the PATH that the layer adds to",
            "cvtool run --prefix ~/.wine --layer app.vhdx --writable changes -- app.exe --version",
        )],
    ),
    ("attach", &[("to a mount in use", "cvtool attach mnt app.vhdx")]),
    ("detach", &[("from it", "cvtool detach mnt app.vhdx")]),
    (
        "order",
        &[("above all other layers", "cvtool order mnt app.vhdx --top")],
    ),
    (
        "status",
        &[
            ("the stack", "cvtool status mnt"),
            (
                "why a path shows what it shows",
                "cvtool status mnt --explain 'Program Files/App'",
            ),
        ],
    ),
    (
        "writable check",
        &[(
            "after a layer was updated",
            "cvtool writable check changes --base windows.vhdx --layer app-2.vhdx",
        )],
    ),
    (
        "writable repair",
        &[(
            "after a layer was updated",
            "cvtool writable repair changes --base windows.vhdx --layer app-2.vhdx",
        )],
    ),
    (
        "writable pack",
        &[(
            "to store it, or to take it to another machine",
            "cvtool writable pack changes -o changes.vhdx",
        )],
    ),
    (
        "writable unpack",
        &[("a folder again", "cvtool writable unpack changes.vhdx changes")],
    ),
    ("completions", &[("for this user's bash", "cvtool completions bash")]),
    ("man", &[("a page for each command", "cvtool man -o man1")]),
];

/// Adds the examples to the help of a command and of those below it.
pub fn add_to(command: Command) -> Command {
    below(command, "")
}

fn below(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path} {name}")
        };
        command = command.mut_subcommand(name, |sub| below(sub, &path));
    }
    let Some((_, examples)) = EXAMPLES.iter().find(|(known, _)| *known == path) else {
        return command;
    };
    let mut text = command
        .get_after_help()
        .map(|help| format!("{help}\n\n"))
        .unwrap_or_default();
    text.push_str("Examples:");
    for (what, line) in *examples {
        text.push_str("\n  ");
        text.push_str(what);
        text.push_str(":\n    ");
        text.push_str(line);
    }
    command.after_help(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::Arguments;
    use clap::{CommandFactory, Parser};

    /// The paths of all commands that do something by themselves.
    fn commands(command: &Command, path: &str, found: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            if !sub.is_subcommand_required_set() {
                found.push(path.trim_start().to_owned());
            }
            commands(sub, &path, found);
        }
    }

    #[test]
    fn every_command_has_examples_that_the_command_line_takes() {
        let mut known = Vec::new();
        commands(&Arguments::command(), "", &mut known);
        for path in &known {
            assert!(
                EXAMPLES.iter().any(|(name, _)| name == path),
                "cvtool {path} has no example"
            );
        }
        for (path, examples) in EXAMPLES {
            // Some commands are there on Linux alone.
            if cfg!(target_os = "linux") {
                assert!(
                    known.iter().any(|name| name == path),
                    "there is no command cvtool {path}"
                );
            } else if !known.iter().any(|name| name == path) {
                continue;
            }
            for (_, line) in *examples {
                assert!(
                    line.starts_with(&format!("cvtool {path}")),
                    "{line} is no example of {path}"
                );
                let words = shlex::split(line).unwrap();
                if let Err(error) = Arguments::try_parse_from(words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }
}
