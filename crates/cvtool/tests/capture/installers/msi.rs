//! Packages of Windows Installer.

use super::application::{Data, FOLDER, Installed, Root, SERVICE, Setting, service, settings};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const PRODUCT: &str = "{5E1B2C3D-4F50-4111-8222-93A4B5C6D7E8}";
const UPGRADE: &str = "{6F1B2C3D-4F50-4111-8222-93A4B5C6D7E8}";

/// Where the shortcut stands: Wine takes the user's menu even for an install for all users.
pub const SHORTCUT: &str = r"C:\Users\Default\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\CMake\CMake.lnk";

/// Where Windows Installer keeps the package; Wine makes up its name.
pub const KEPT: &str = r"C:\Windows\Installer\package.msi";

fn component(number: usize) -> String {
    format!("{{7A1B2C3D-4F50-4111-8222-{number:012X}}}")
}

/// A GUID as Windows Installer writes it in its keys.
fn packed(guid: &str) -> String {
    let digits: Vec<char> = guid.chars().filter(char::is_ascii_hexdigit).collect();
    let (head, tail) = digits.split_at(16);
    let mut packed = String::new();
    for part in [&head[..8], &head[8..12], &head[12..]] {
        packed.extend(part.iter().rev());
    }
    for pair in tail.chunks(2) {
        packed.extend(pair.iter().rev());
    }
    packed
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// What the column `Value` of the table `Registry` has; its first characters tell the type.
fn value(setting: &Setting, path: &str) -> String {
    match &setting.data {
        Data::Text(text) => text.clone(),
        Data::Expand(text) => format!("#%{text}"),
        Data::Number(number) => format!("#{number}"),
        Data::Bytes(bytes) => bytes
            .iter()
            .fold("#x".to_owned(), |text, byte| text + &format!("{byte:02X}")),
        Data::Texts(texts) => texts.join("[~]"),
        Data::InProfile(below) => format!(r"[%USERPROFILE]\{below}"),
        Data::Appended(more) => format!("#%{path}{more}"),
        Data::Unknown => String::new(),
    }
}

/// Directories and files as `Directory` and `Component` elements; every file is a component.
fn tree(files: &[Installed]) -> String {
    #[derive(Default)]
    struct Node<'a> {
        folders: BTreeMap<&'a str, Node<'a>>,
        files: Vec<(usize, &'a str, &'a Installed)>,
    }
    fn print(node: &Node<'_>, id: &str, out: &mut String) {
        for (number, name, file) in &node.files {
            let source = file.source.file_name().unwrap().to_str().unwrap();
            let folder = file.source.parent().unwrap().display();
            // Paths of sources are taken as below the working folder: there the root is linked.
            let source = escaped(&format!("root{folder}/{source}"));
            let guid = component(*number);
            write!(
                out,
                "<Component Id='C{number}' Guid='{guid}' Win64='yes'><File Id='F{number}' Name=\"{}\" Source=\"{source}\" KeyPath='yes'/>",
                escaped(name)
            )
            .unwrap();
            if *name == "cmake.exe" {
                write!(
                    out,
                    "<ServiceInstall Id='Service' Name='{SERVICE}' DisplayName='CMake Server' Type='ownProcess' Start='demand' \
                     ErrorControl='normal' Account='LocalSystem' Vital='yes'/>\
                     <Shortcut Id='Shortcut' Directory='MENU' Name='CMake' Target='[#F{number}]' WorkingDirectory='{id}' Arguments='--help'/>"
                )
                .unwrap();
            }
            out.push_str("</Component>");
        }
        for (place, (name, folder)) in node.folders.iter().enumerate() {
            let id = format!("{id}_{place}");
            write!(out, "<Directory Id='{id}' Name='{name}'>").unwrap();
            print(folder, &id, out);
            out.push_str("</Directory>");
        }
    }
    let mut top = Node::default();
    for (number, file) in files.iter().enumerate() {
        let mut node = &mut top;
        let (folders, name) = file.to.rsplit_once('\\').unwrap();
        for folder in folders.split('\\') {
            node = node.folders.entry(folder).or_default();
        }
        node.files.push((number, name, file));
    }
    let mut out = String::new();
    print(&top, "TOP", &mut out);
    out
}

fn script(files: &[Installed], path: &str) -> String {
    let mut components = String::new();
    for (number, setting) in settings().iter().enumerate() {
        let number = files.len() + number;
        let wide = if setting.root == Root::Machine32 { "no" } else { "yes" };
        let root = if setting.root == Root::User { "HKCU" } else { "HKLM" };
        let name = match setting.name.as_str() {
            "" => String::new(),
            name => format!("Name='{name}'"),
        };
        write!(
            components,
            "<Component Id='C{number}' Guid='{}' Win64='{wide}'><RegistryKey Root='{root}' Key='{}'>\
             <RegistryValue Id='R{number}' {name} Type='string' Value=\"{}\" KeyPath='yes'/></RegistryKey></Component>",
            component(number),
            setting.key,
            escaped(&value(setting, path)),
        )
        .unwrap();
    }
    let references = (0..files.len() + settings().len()).fold(String::new(), |mut text, number| {
        write!(text, "<ComponentRef Id='C{number}'/>").unwrap();
        text
    });
    format!(
        "<?xml version='1.0' encoding='utf-8'?><Wix xmlns='http://schemas.microsoft.com/wix/2006/wi'>\
         <Product Id='{PRODUCT}' Name='CMake' Language='1033' Version='3.31.6' Manufacturer='Kitware' UpgradeCode='{UPGRADE}'>\
         <Package InstallerVersion='500' Compressed='yes' InstallScope='perMachine'/>\
         <Media Id='1' Cabinet='files.cab' EmbedCab='yes'/><Directory Id='TARGETDIR' Name='SourceDir'>\
         <Directory Id='ProgramFiles64Folder'><Directory Id='TOP' Name='CMake'>{}</Directory></Directory>\
         <Directory Id='ProgramMenuFolder'><Directory Id='MENU' Name='CMake'/></Directory>{components}</Directory>\
         <Feature Id='Main' Level='1'>{references}</Feature></Product></Wix>",
        tree(files)
    )
}

/// Makes the package; `path` is what PATH holds before it is installed.
pub fn package(folder: &Path, files: &[Installed], path: &str) {
    std::fs::write(folder.join("install.wxs"), script(files, path)).unwrap();
    std::os::unix::fs::symlink("/", folder.join("root")).unwrap();
    let output = Command::new("wixl")
        .args(["-a", "x64", "-o", "install.msi", "install.wxs"])
        .current_dir(folder)
        .output()
        .unwrap();
    std::fs::remove_file(folder.join("root")).unwrap();
    assert!(
        folder.join("install.msi").is_file(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // wixl has no types but texts and numbers.
    let mut command = Command::new("msibuild");
    command.arg("install.msi").current_dir(folder);
    for (number, setting) in settings().iter().enumerate() {
        let value = value(setting, path);
        if value.starts_with('#') {
            let number = files.len() + number;
            command.arg("-q");
            command.arg(format!(
                "UPDATE `Registry` SET `Value` = '{value}' WHERE `Registry` = 'R{number}'"
            ));
        }
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// What the package sets, with what Windows Installer notes of it.
pub fn own_settings(files: &[Installed]) -> Vec<Setting> {
    let mut all = settings();
    all.extend(service());
    let mut add = |key: &str, named: &[(&str, Data)]| all.extend(values(key, named));
    let service = format!(r"System\CurrentControlSet\Services\{SERVICE}");
    // The default of Windows, three minutes.
    add(&service, &[("PreshutdownTimeout", Data::Number(180_000))]);
    let (product, upgrade) = (packed(PRODUCT), packed(UPGRADE));
    let version = 3 << 24 | 31 << 16 | 6;
    let known = [
        ("DisplayName", text("CMake")),
        ("DisplayVersion", text("3.31.6")),
        ("Publisher", text("Kitware")),
        ("Language", Data::Number(1033)),
        ("Version", Data::Number(version)),
        ("VersionMajor", Data::Number(3)),
        ("VersionMinor", Data::Number(31)),
        ("WindowsInstaller", Data::Number(1)),
        ("UninstallString", Data::Expand(format!("MsiExec.exe /I{PRODUCT}"))),
        ("ModifyPath", Data::Expand(format!("MsiExec.exe /I{PRODUCT}"))),
    ];
    let others = unknown(&[
        "AuthorizedCDFPrefix",
        "Comments",
        "Contact",
        "EstimatedSize",
        "HelpLink",
        "HelpTelephone",
        "InstallDate",
        "InstallLocation",
        "InstallSource",
        "ReadMe",
        "Size",
        "URLInfoAbout",
        "URLUpdateInfo",
    ]);
    let uninstall = format!(r"Software\Microsoft\Windows\CurrentVersion\Uninstall\{PRODUCT}");
    let installer = r"Software\Microsoft\Windows\CurrentVersion\Installer";
    let data = format!(r"{installer}\UserData\S-1-5-18");
    let properties = format!(r"{data}\Products\{product}\InstallProperties");
    for key in [&uninstall, &properties] {
        add(key, &known);
        add(key, &others);
    }
    add(&properties, &unknown(&["LocalPackage"]));
    add(&format!(r"{data}\Products\{product}\Features"), &unknown(&["Main"]));
    for (number, file) in files.iter().enumerate() {
        let name = file.to.rsplit('\\').next().unwrap();
        let folder = &file.to[..file.to.len() - name.len()];
        let key_path = format!(r"{FOLDER}\{folder}{name}");
        add(
            &format!(r"{data}\Components\{}", packed(&component(number))),
            &[(&product, Data::Text(key_path))],
        );
    }
    for (number, setting) in settings().iter().enumerate() {
        let root = if setting.root == Root::User { "01" } else { "02" };
        let key_path = format!(r"{root}:\{}\\{}", setting.key, setting.name);
        let key = format!(r"{data}\Components\{}", packed(&component(files.len() + number)));
        add(
            &key,
            &[(
                &product,
                if setting.name.is_empty() {
                    Data::Unknown
                } else {
                    Data::Text(key_path)
                },
            )],
        );
    }
    add(&format!(r"{installer}\UpgradeCodes\{upgrade}"), &[(&product, text(""))]);
    all.extend(classes(&product, &upgrade, version));
    all
}

/// What Windows Installer notes of the package among the classes.
fn classes(product: &str, upgrade: &str, version: u32) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut add = |key: &str, named: &[(&str, Data)]| all.extend(values(key, named));
    let classes = r"Software\Classes\Installer";
    add(&format!(r"{classes}\UpgradeCodes\{upgrade}"), &[(product, text(""))]);
    add(&format!(r"{classes}\Features\{product}"), &unknown(&["Main"]));
    let key = format!(r"{classes}\Products\{product}");
    add(
        &key,
        &[
            ("ProductName", text("CMake")),
            ("Language", Data::Number(1033)),
            ("Version", Data::Number(version)),
        ],
    );
    add(
        &key,
        &unknown(&[
            "AdvertiseFlags",
            "Assignment",
            "AuthorizedLUAApp",
            "Clients",
            "InstanceType",
            "PackageCode",
        ]),
    );
    add(&format!(r"{key}\SourceList"), &[("PackageName", text("install.msi"))]);
    add(&format!(r"{key}\SourceList"), &unknown(&["LastUsedSource"]));
    add(
        &format!(r"{key}\SourceList\Media"),
        &unknown(&["1", "DiskPrompt", "MediaPackage"]),
    );
    add(&format!(r"{key}\SourceList\Net"), &unknown(&["1"]));
    all
}

fn values(key: &str, named: &[(&str, Data)]) -> Vec<Setting> {
    let setting = |(name, data): &(&str, Data)| Setting {
        root: Root::Machine,
        key: key.to_owned(),
        name: (*name).to_owned(),
        data: data.clone(),
    };
    named.iter().map(setting).collect()
}

fn text(text: &str) -> Data {
    Data::Text(text.to_owned())
}

fn unknown(names: &[&'static str]) -> Vec<(&'static str, Data)> {
    names.iter().map(|name| (*name, Data::Unknown)).collect()
}
