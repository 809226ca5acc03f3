//! Installers of NSIS.

use super::application::{BIN, Data, FOLDER, Installed, Root, Setting, UNINSTALL, service, settings};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Where the shortcut stands.
pub const SHORTCUT: &str = r"C:\ProgramData\Microsoft\Windows\Start Menu\Programs\CMake\CMake.lnk";

/// What this installer sets besides what all do.
pub fn own_settings() -> Vec<Setting> {
    let value = |name: &str, data| Setting {
        root: Root::Machine,
        key: UNINSTALL.to_owned(),
        name: name.to_owned(),
        data,
    };
    let text = |text: &str| Data::Text(text.to_owned());
    let mut all = settings();
    all.extend(service());
    all.extend([
        value("DisplayName", text("CMake")),
        value("DisplayVersion", text("3.31.6")),
        value("Publisher", text("Kitware")),
        value("InstallLocation", text(FOLDER)),
        value("UninstallString", Data::Text(format!(r#""{FOLDER}\uninstall.exe""#))),
        value("NoModify", Data::Number(1)),
    ]);
    all
}

fn quoted(text: &str) -> String {
    format!("`{}`", text.replace('$', "$$"))
}

fn write(script: &mut String, setting: &Setting) {
    let view = if setting.root == Root::Machine32 { 32 } else { 64 };
    writeln!(script, "SetRegView {view}").unwrap();
    let root = if setting.root == Root::User { "HKCU" } else { "HKLM" };
    let place = format!("{root} {} {}", quoted(&setting.key), quoted(&setting.name));
    let hex = |bytes: &[u8], between: &str| -> String {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.join(between)
    };
    let line = match &setting.data {
        Data::Text(text) => format!("WriteRegStr {place} {}", quoted(text)),
        Data::Expand(text) => format!("WriteRegExpandStr {place} {}", quoted(text)),
        Data::Number(number) => format!("WriteRegDWORD {place} {number}"),
        Data::Bytes(bytes) => format!("WriteRegBin {place} {}", hex(bytes, "")),
        Data::Texts(texts) => {
            let units = texts.iter().flat_map(|text| text.encode_utf16().chain([0])).chain([0]);
            let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
            format!("WriteRegMultiStr /REGEDIT5 {place} {}", hex(&bytes, ","))
        }
        Data::InProfile(path) => format!(r"WriteRegStr {place} `$PROFILE\{path}`"),
        Data::Appended(more) => format!("ReadRegStr $0 {place}\nWriteRegExpandStr {place} `$0{more}`"),
        Data::Unknown => return,
    };
    writeln!(script, "{line}").unwrap();
}

/// Takes a setting back.
fn unset(script: &mut String, setting: &Setting) {
    let view = if setting.root == Root::Machine32 { 32 } else { 64 };
    writeln!(script, "SetRegView {view}").unwrap();
    let root = if setting.root == Root::User { "HKCU" } else { "HKLM" };
    if let Data::Appended(more) = &setting.data {
        let place = format!("{root} {} {}", quoted(&setting.key), quoted(&setting.name));
        let length = more.len();
        writeln!(
            script,
            "ReadRegStr $0 {place}\nStrCpy $0 $0 -{length}\nWriteRegExpandStr {place} $0"
        )
        .unwrap();
    } else {
        // The vendor's key is the topmost one that the installer made.
        let key = match setting.key.strip_prefix(r"Software\Kitware") {
            Some(_) => r"Software\Kitware",
            None => &setting.key,
        };
        writeln!(script, "DeleteRegKey {root} {}", quoted(key)).unwrap();
    }
}

/// A file that the installer hides.
pub const HIDDEN: &str = r"C:\Program Files\CMake\bin\cmcldeps.exe";

fn script(files: &[Installed]) -> String {
    let mut script = format!("InstallDir `{FOLDER}`\nSection\nSetShellVarContext all\n");
    let mut uninstall = "Section Uninstall\nSetShellVarContext all\n".to_owned();
    for file in files {
        let folder = file.to.rsplit_once('\\').map_or("", |(folder, _)| folder);
        writeln!(
            script,
            "SetOutPath `$INSTDIR\\{folder}`\nFile `{}`",
            file.source.display()
        )
        .unwrap();
    }
    writeln!(script, "SetFileAttributes `{HIDDEN}` HIDDEN").unwrap();
    for setting in own_settings() {
        write(&mut script, &setting);
        unset(&mut uninstall, &setting);
    }
    write!(
        script,
        "CreateDirectory `$SMPROGRAMS\\CMake`\nSetOutPath `{BIN}`\n\
         CreateShortcut `$SMPROGRAMS\\CMake\\CMake.lnk` `{BIN}\\cmake.exe` --help\n\
         WriteUninstaller `$INSTDIR\\uninstall.exe`\nSectionEnd\n"
    )
    .unwrap();
    uninstall.push_str("RMDir /r `$SMPROGRAMS\\CMake`\nRMDir /r `$INSTDIR`\nSectionEnd\n");
    script + &uninstall
}

/// Makes the installer of the application.
pub fn installer(folder: &Path, files: &[Installed]) {
    compile(folder, "install", &script(files));
}

/// Compiles a script to `NAME.exe`.
pub fn compile(folder: &Path, name: &str, script: &str) {
    let head = format!(
        "Unicode true\nTarget amd64-unicode\nName CMake\nOutFile {name}.exe\nRequestExecutionLevel admin\nSetCompress off\n"
    );
    std::fs::write(folder.join(format!("{name}.nsi")), head + script).unwrap();
    let output = Command::new("makensis")
        .args(["-V2", "-INPUTCHARSET", "UTF8", &format!("{name}.nsi")])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
