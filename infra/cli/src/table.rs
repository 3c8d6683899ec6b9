//! Columns of text, for people.

/// Rows below a header, as wide as their content; numbers to the right.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(header: impl Into<Vec<&'static str>>) -> Self {
        Self { header: header.into(), rows: Vec::new() }
    }

    /// Adds a row; what it lacks is empty.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// The text, each line ended.
    pub(crate) fn render(&self) -> String {
        let header: Vec<String> = self.header.iter().map(|name| (*name).to_owned()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.chain(header.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let is_number = |column: usize| {
            let mut cells =
                self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
            cells.peek().is_some() && cells.all(|cell| cell.parse::<f64>().is_ok())
        };
        let right: Vec<bool> = (0..header.len()).map(is_number).collect();
        let line = |row: &Vec<String>| {
            let cells = widths.iter().zip(&right).enumerate().map(|(column, (&width, &right))| {
                let cell = row.get(column).map_or("", String::as_str);
                if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        std::iter::once(&header).chain(&self.rows).map(line).collect()
    }
}

/// A device's text must not move the cursor of whoever looks at it.
pub(crate) fn printable(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["metric", "value", "note"]);
        table.push(["temperature".to_owned(), "22.5".to_owned(), "ok".to_owned()]);
        table.push(["n".to_owned(), "7".to_owned(), "\u{1b}[2J".to_owned()]);
        assert_eq!(
            table.render(),
            "metric       value  note\ntemperature   22.5  ok\nn                7  \u{fffd}[2J\n"
        );
    }

    #[test]
    fn no_rows_leave_the_header() {
        assert_eq!(Table::new(["a", "b"]).render(), "a  b\n");
    }
}
