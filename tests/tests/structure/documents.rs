//! README.md and ARCHITECTURE.md speak of what there is.

use std::collections::BTreeSet;

use crate::{files, read, root};

const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "docs/topics.md"];

#[test]
fn the_readme_has_the_tables_of_the_code() {
    let readme = read("README.md");
    for (name, table) in [
        ("configuration", cloud::config::markdown_table()),
        ("schema", lake::schema::markdown_table()),
        ("units", telemetry::units_markdown_table()),
    ] {
        let (_, rest) = readme.split_once(&format!("<!-- {name} -->")).expect("a place for the table");
        let (found, _) = rest.split_once(&format!("<!-- /{name} -->")).expect("an end of the table");
        assert_eq!(found.trim(), table.trim(), "paste the right side into README.md");
    }
}

#[test]
fn every_alert_rule_and_profile_in_the_readme_is_one() {
    let readme = read("README.md");
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let (rules, profiles): (Vec<_>, Vec<_>) = blocks.partition(|text| text.contains("severity = "));
    assert!(!rules.is_empty() && !profiles.is_empty());
    rules.iter().for_each(|text| drop(alert::Rule::from_toml(text).expect(text)));
    profiles.iter().for_each(|text| drop(telemetry::Profile::from_toml(text).expect(text)));
}

#[test]
fn every_shipped_profile_is_in_the_readme() {
    let readme = read("README.md");
    for entry in std::fs::read_dir(root().join("infra/profiles")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("](infra/profiles/{name})")), "{name}");
    }
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let targets =
            text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            // As it is read where the document lies.
            let folder = document.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let path = &if path.is_empty() { document.to_owned() } else { folder + path };
            assert!(root().join(path).exists(), "{document} links to {target}");
            if path.ends_with(".md") && !anchor.is_empty() {
                assert!(
                    anchors(&read(path)).contains(anchor),
                    "{document} links to {target}, and there is no such heading"
                );
            }
        }
    }
}

/// The anchors that GitHub gives a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = outside_of_fences(text).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

fn outside_of_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    text.lines().filter(move |line| {
        is_inside ^= is_fence(line);
        !is_inside && !is_fence(line)
    })
}

/// Commands: lines of fenced blocks, without a prompt, and what stands between backticks elsewhere.
fn commands(text: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if is_fence(line) {
            is_inside = !is_inside;
        } else if is_inside {
            commands.push(line.trim().trim_start_matches("$ "));
        } else {
            commands.extend(in_backticks(line));
        }
    }
    commands
}

fn in_backticks(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn every_make_target_exists() {
    let makefile = read("Makefile");
    let rules =
        makefile.lines().filter(|line| !line.starts_with(['\t', '#', '.', ' ']) && !line.contains(":="));
    let targets: BTreeSet<&str> = rules
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(names, _)| names.split_whitespace())
        .collect();
    for document in DOCUMENTS {
        let text = read(document);
        for command in commands(&text) {
            let words = command.split_whitespace().skip_while(|word| word.contains('='));
            let mut words = words.take_while(|word| !word.starts_with('#'));
            if words.next() != Some("make") {
                continue;
            }
            for target in words.filter(|word| !word.contains('=') && !word.starts_with('-')) {
                assert!(
                    targets.contains(target),
                    "{document}: `{command}`, and the Makefile has {targets:?}"
                );
            }
        }
    }
}

/// The rows of the table in the section of ARCHITECTURE.md that names the invariants.
fn invariants(text: &str) -> Vec<&str> {
    let mut is_there = false;
    let mut rows = Vec::new();
    for line in outside_of_fences(text) {
        if line.starts_with('#') {
            is_there = line.to_lowercase().contains("invariant");
        } else if is_there && line.starts_with('|') {
            rows.push(line);
        }
    }
    rows.into_iter().skip(2).collect()
}

#[test]
fn every_test_that_holds_an_invariant_exists() {
    let architecture = read("ARCHITECTURE.md");
    let sources: Vec<(Vec<String>, String)> = files(root())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let parts = path.strip_prefix(root()).unwrap().with_extension("");
            let parts = parts.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            (parts, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    let rows = invariants(&architecture);
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table of invariants");
    let mut count = 0;
    for row in rows {
        for test in
            in_backticks(row).filter(|name| name.contains("::") && !name.contains(char::is_whitespace))
        {
            let (file, function) = test.rsplit_once("::").unwrap();
            if function.contains(char::is_uppercase) || function.contains('*') {
                continue; // a type
            }
            let file: Vec<&str> = file.split("::").filter(|part| *part != "tests").collect();
            let declaration = format!("fn {function}(");
            let exists = sources.iter().any(|(parts, source)| {
                file.iter().all(|part| parts.iter().any(|known| known == part))
                    && source.contains(&declaration)
            });
            assert!(exists, "ARCHITECTURE.md names the test {test}, which does not exist");
            count += 1;
        }
    }
    assert!(count > 0, "the table of invariants names no test");
}
