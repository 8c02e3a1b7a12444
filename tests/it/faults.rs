//! The inventory of faults (`docs/faults.md`) against the stories there are.

const ROWS: [(char, u32); 7] = [('A', 7), ('B', 9), ('C', 8), ('D', 9), ('E', 2), ('F', 9), ('G', 11)];

#[test]
fn every_row_of_the_faults_names_stories_that_exist() {
    let page = std::fs::read_to_string("docs/faults.md").unwrap();
    for (letter, rows) in ROWS {
        for row in 1..=rows {
            let begins = format!("| {letter}{row} |");
            let line = page.lines().find(|line| line.starts_with(&begins)).unwrap_or_else(|| panic!("no {begins}"));
            let stories: Vec<(&str, &str)> =
                line.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect();
            assert!(!stories.is_empty(), "{begins} names no story");
            for (module, name) in stories {
                let source = std::fs::read_to_string(format!("tests/it/{module}.rs")).unwrap_or_default();
                assert!(
                    source.contains(&format!("async fn {name}(")),
                    "{begins} names {module}::{name}, which is not there"
                );
            }
        }
    }
}
