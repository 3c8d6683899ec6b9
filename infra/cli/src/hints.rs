//! Commands for people to copy.

use std::path::{Path, PathBuf};

use crate::local;

/// How the user called this program, and for which local cloud.
#[derive(Debug, Clone)]
pub struct Hints {
    program: String,
    /// `None`: the one that is meant when none is named.
    dir: Option<PathBuf>,
}

impl Hints {
    /// For the local cloud in `dir`.
    pub fn new(program: String, dir: &Path) -> Self {
        let is_default = local::default_dir().is_ok_and(|default| default == dir);
        Self { program, dir: (!is_default).then(|| dir.to_owned()) }
    }

    /// `tidegate {words}`, as it works in this shell.
    pub fn tidegate(&self, words: &str) -> String {
        let dir = self.dir.as_ref().map_or(String::new(), |dir| format!(" --dir {}", dir.display()));
        format!("{} {words}{dir}", self.program)
    }

    /// What a target of the Makefile does for this local cloud.
    pub fn make(&self, target: &str) -> String {
        if self.dir.is_some() { self.tidegate(target) } else { format!("make {target}") }
    }
}

/// Commands in one column, what they do in the next.
pub fn columns(rows: &[(String, &str)]) -> String {
    let width = rows.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    let line = |(command, meaning): &(String, &str)| {
        format!("  {command:<width$}  {meaning}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_folder_where_they_must() {
        let hints = Hints::new("tidegate".into(), Path::new("/tmp/elsewhere"));
        assert_eq!(hints.tidegate("devices"), "tidegate devices --dir /tmp/elsewhere");
        assert_eq!(hints.make("down"), "tidegate down --dir /tmp/elsewhere");
        let default = Hints::new("tidegate".into(), &local::default_dir().unwrap());
        assert_eq!(default.tidegate("devices"), "tidegate devices");
        assert_eq!(default.make("down"), "make down");
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(columns(&[("a".into(), "one"), ("bcd".into(), "")]), "  a    one\n  bcd\n");
    }
}
