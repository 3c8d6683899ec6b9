//! Which crate may know what.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::deployment::{Deployment, list};
use crate::{files, read, root};

/// Crates without AWS, without async, without a clock.
const PURE: [&str; 3] = ["telemetry", "lake", "alert"];
/// What a pure crate must not be able to name, however indirectly: whole names, or beginnings of names.
const IMPURE: [&str; 7] = ["aws-", "tokio", "hyper", "lambda_", "reqwest", "arrow", "async-"];
/// The only crate that names what belongs to AWS.
const CLOUD: &str = "cloud";
const OF_AWS: [&str; 2] = ["aws-", "lambda_"];
/// `main` wires, and fits one screen.
const MAX_MAIN_LINES: usize = 60;

/// What Cargo knows of the workspace and of all it depends on.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    // Other platforms' packages need not be on this machine, and nothing may be fetched or changed by a test.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
});

/// The packages of the workspace, by name.
fn members() -> BTreeMap<&'static str, &'static Value> {
    let ids: BTreeSet<&str> =
        list(&METADATA["workspace_members"]).into_iter().map(|id| id.as_str().unwrap()).collect();
    let packages = list(&METADATA["packages"]).into_iter();
    packages
        .filter(|package| ids.contains(package["id"].as_str().unwrap()))
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect()
}

/// The folder of a member, from the root.
fn folder(member: &Value) -> String {
    let manifest = member["manifest_path"].as_str().unwrap();
    let from_root = manifest.strip_prefix(root().to_str().unwrap()).unwrap();
    from_root.trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned()
}

/// Names of all packages that are linked into `member`: normal dependencies, and theirs.
fn linked(member: &Value) -> BTreeSet<&'static str> {
    let nodes: BTreeMap<&str, &Value> = list(&METADATA["resolve"]["nodes"])
        .into_iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let names: BTreeMap<&str, &str> = list(&METADATA["packages"])
        .into_iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![member["id"].as_str().unwrap()];
    while let Some(id) = open.pop() {
        for dependency in list(&nodes[id]["deps"]) {
            let is_normal = list(&dependency["dep_kinds"]).into_iter().any(|kind| kind["kind"].is_null());
            let id = names.get_key_value(dependency["pkg"].as_str().unwrap()).unwrap().0;
            if is_normal && seen.insert(*id) {
                open.push(id);
            }
        }
    }
    seen.into_iter().map(|id| names[id]).collect()
}

fn begins_with_any(name: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

#[test]
fn layers_know_only_what_lies_below() {
    let members = members();
    for name in PURE {
        let linked = linked(members[name]);
        assert!(linked.contains("sha2"), "{name} links nothing; has Cargo's format changed? {linked:?}");
        let impure: Vec<_> = linked.iter().filter(|name| begins_with_any(name, &IMPURE)).collect();
        assert!(impure.is_empty(), "{name} depends on {impure:?}");
    }
}

#[test]
fn only_the_cloud_crate_names_aws() {
    // The harness speaks the Runtime API's other side; that it gets along with the real runtime is one of its own tests.
    const EXCEPTION: (&str, &str, &str) = ("tests", "dev", "lambda_runtime");
    for (name, member) in members() {
        let dependencies = list(&member["dependencies"]).into_iter();
        let of_aws: Vec<(&str, &str, &str)> = dependencies
            .map(|dependency| {
                (name, dependency["kind"].as_str().unwrap_or("normal"), dependency["name"].as_str().unwrap())
            })
            .filter(|dependency| begins_with_any(dependency.2, &OF_AWS) && *dependency != EXCEPTION)
            .collect();
        assert_eq!(of_aws.is_empty(), name != CLOUD, "{name}: {of_aws:?}");
    }
}

#[test]
fn every_crate_inherits_the_workspaces_lints_edition_and_licence() {
    for (name, member) in members() {
        let manifest = read(&format!("{}/Cargo.toml", folder(member)));
        for line in ["edition.workspace = true", "license.workspace = true", "rust-version.workspace = true"]
        {
            assert!(manifest.lines().any(|found| found == line), "{name}: {line}");
        }
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} does not inherit the lints");
        assert_eq!(member["license"], "MIT OR Apache-2.0", "{name}");
    }
}

#[test]
fn every_function_is_a_crate_with_its_binary_and_is_deployed() {
    let folders: BTreeSet<String> = std::fs::read_dir(root().join("functions"))
        .unwrap()
        .map(|entry| format!("functions/{}", entry.unwrap().file_name().display()))
        .collect();
    let members: BTreeMap<String, &Value> = members()
        .into_values()
        .map(|member| (folder(member), member))
        .filter(|(folder, _)| folder.starts_with("functions/"))
        .collect();
    assert_eq!(
        folders,
        members.keys().cloned().collect(),
        "folders in functions/, and members of the workspace"
    );
    for deployment in Deployment::all() {
        let functions: BTreeMap<&str, &Value> = deployment
            .of_type("AWS::Serverless::Function")
            .map(|(_, function)| (function["CodeUri"].as_str().unwrap(), function))
            .collect();
        assert_eq!(
            functions.keys().copied().collect::<Vec<_>>(),
            folders.iter().map(String::as_str).collect::<Vec<_>>(),
            "functions in template.yaml, and folders: {}",
            deployment.name
        );
        for (code, function) in functions {
            let name = code.strip_prefix("functions/").unwrap();
            assert_eq!(function["FunctionName"], format!("tidegate-dev-{name}"), "its name tells what it is");
            // `cargo lambda` names the function after the binary, and SAM takes the only one.
            let targets = list(&members[code]["targets"]).into_iter();
            let binaries: Vec<&str> = targets
                .filter(|target| target["kind"][0] == "bin")
                .map(|target| target["name"].as_str().unwrap())
                .collect();
            assert_eq!(binaries, [name]);
            // A pure crate below shared/ may have the plain name.
            let package = members[code]["name"].as_str().unwrap();
            assert!(package == name || package == format!("{name}-function"), "{package}");
        }
    }
    for (id, function) in crate::deployment::TEMPLATE["Resources"].as_object().unwrap() {
        if function["Type"] == "AWS::Serverless::Function" {
            assert_eq!(function["Metadata"]["BuildMethod"], "rust-cargolambda", "{id}");
        }
    }
}

#[test]
fn main_fits_one_screen() {
    for path in files(&root().join("functions")) {
        if path.ends_with("src/main.rs") {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= MAX_MAIN_LINES, "{}: {lines} lines", path.display());
        }
    }
}

#[test]
fn no_file_is_a_drawer_for_the_rest() {
    for path in files(root()) {
        let parts = path.strip_prefix(root()).unwrap().iter().map(|part| part.to_string_lossy());
        for part in parts {
            let stem = part.split('.').next().unwrap_or_default();
            assert!(!["util", "utils", "common", "misc"].contains(&stem), "{}", path.display());
        }
    }
}
