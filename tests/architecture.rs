//! The import rules of `docs/architecture.md`, parsed from the source with syn: who may import whom, who owns which crate.
//!
//! A fully qualified path counts as an import, and so does one inside a macro. Code under `#[cfg(test)]` is exempt.

#![expect(clippy::unwrap_used, reason = "a check that cannot read the source has failed")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::Visit;

/// Rings and the rings they may import. `*` = all.
const RINGS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("render", &["domain"]),
    ("register_file", &["domain"]),
    ("ambient", &["domain"]),
    ("config", &["domain"]),
    // Names of metrics and the format of logs; their settings are in `config`, and what is counted are the store's changes.
    ("telemetry", &["domain", "config", "store"]),
    ("store", &["domain"]),
    ("provider", &["domain", "config"]),
    // `config`: limits, frames and windows are part of the rules that actions apply.
    ("actions", &["domain", "store", "render", "register_file", "ambient", "config", "telemetry"]),
    ("dispatch", &["domain", "store", "render", "provider", "ambient", "config", "telemetry"]),
    ("simulator", &["domain", "config", "telemetry"]),
    ("inbound", &["domain", "store", "actions", "provider", "ambient", "config", "telemetry"]),
    ("upkeep", &["domain", "store", "actions", "ambient", "config", "telemetry"]),
    // `register_file`: the wire shapes of an import are made of its items and its encodings.
    ("web", &["domain", "actions", "inbound", "render", "register_file", "store", "ambient", "config", "telemetry"]),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// Crates and the only places that may import them: a ring, or a file of one.
const OWNERS: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("reqwest", &["provider"]),
    ("lettre", &["provider"]),
    ("rusmpp", &["provider"]),
    ("bytes", &["provider"]),
    // The simulator speaks TLS as a server, to be a mail relay that asks for it.
    ("rustls", &["provider", "simulator"]),
    ("tokio_rustls", &["provider", "simulator"]),
    ("rustls_platform_verifier", &["provider"]),
    ("governor", &["dispatch", "web/limits.rs", "web/sign_in_limits.rs", "web/own_page_limits.rs"]),
    // The app serves the router that web gives it.
    ("axum", &["web", "simulator", "app"]),
    ("tower", &["web", "simulator"]),
    ("tower_http", &["web", "simulator"]),
    ("utoipa", &["web"]),
    ("utoipa_axum", &["web"]),
    ("utoipa_swagger_ui", &["web"]),
    ("askama", &["web", "render"]),
    ("pulldown_cmark", &["render"]),
    ("ammonia", &["render"]),
    ("mrml", &["render"]),
    ("html2text", &["render"]),
    ("zip", &["render"]),
    ("csv", &["register_file"]),
    ("encoding_rs", &["register_file"]),
    ("chardetng", &["register_file"]),
    ("mail_parser", &["inbound"]),
    ("async_imap", &["provider"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("indicatif", &["cli"]),
    ("figment", &["config"]),
    ("toml", &["config"]),
    ("rand", &["ambient"]),
    ("rlibphonenumber", &["domain"]),
    ("unicode_normalization", &["domain", "register_file"]),
    ("strsim", &["domain", "register_file"]),
    ("argon2", &["domain"]),
    ("totp_rs", &["domain"]),
    ("zxcvbn", &["domain"]),
    ("qrcodegen", &["web"]),
    ("openidconnect", &["provider"]),
    ("webauthn_rs", &["actions"]),
    // The chain's head is signed by the sealer and checked where the chain is walked; DKIM signs mail (RFC 8463).
    ("ed25519_dalek", &["upkeep/seal.rs", "actions/audit_chain.rs", "provider"]),
    ("tracing_subscriber", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry", "web"]),
    ("anyhow", &["main", "cli", "app"]),
];

/// What the domain may import: pure crates.
const PURE: &[&str] = &[
    "thiserror",
    "jiff",
    "unicode_normalization",
    "rlibphonenumber",
    "strsim",
    "argon2",
    "totp_rs",
    "zxcvbn",
    "idna",
    "data_encoding",
    "uuid",
    "hmac",
    "sha2",
    "subtle",
];

const LONGEST_FILE: usize = 600;

/// Words that are not used for modules: a thing without a noun is not understood yet.
const DRAWERS: &[&str] = &[
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "core",
    "types",
    "models",
    "manager",
    "service",
    "user",
    "contact",
    "job",
    "task",
    "campaign",
    "notification",
    "subscriber",
    "status",
];

#[test]
fn every_ring_imports_only_what_it_may() {
    assert_none(&violations(Rule::Rings));
}

#[test]
fn every_crate_is_imported_only_by_its_owner() {
    assert_none(&violations(Rule::Owners));
}

#[test]
fn the_domain_imports_pure_crates_only() {
    assert_none(&violations(Rule::Domain));
}

#[test]
fn the_environment_is_read_by_the_configuration_only() {
    assert_none(&violations(Rule::Environment));
}

#[test]
fn no_lint_is_switched_off_without_a_reason() {
    assert_none(&violations(Rule::Allow));
}

#[test]
fn no_file_is_longer_than_600_lines_and_every_module_says_what_it_owns() {
    let mut found = Vec::new();
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            found.push(format!("{}:{lines}: files have at most {LONGEST_FILE} lines", file.display()));
        }
        let is_test = file.file_stem().is_some_and(|stem| stem == "tests");
        if !is_test && !text.starts_with("//!") {
            found.push(format!("{}:1: every module begins with //! and what it owns", file.display()));
        }
        if file.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| DRAWERS.contains(&stem)) {
            found.push(format!("{}:1: no module is a drawer; name it after its noun", file.display()));
        }
    }
    assert_none(&found);
}

#[test]
fn no_page_holds_what_the_security_policy_refuses() {
    let mut found = String::new();
    let mut folders = vec![PathBuf::from("templates/pages")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // htmx would evaluate the first two and filters of triggers, the browser the rest.
            for refused in ["hx-on", "js:", "javascript:", " style=", " onclick=", " onsubmit=", "<script>"] {
                if text.contains(refused) {
                    writeln!(found, "{}: {refused}", path.display()).unwrap();
                }
            }
            for trigger in text.split("hx-trigger=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                if trigger.contains('[') {
                    writeln!(found, "{}: a filter in {trigger}", path.display()).unwrap();
                }
            }
        }
    }
    assert_eq!(found, "");
}

#[test]
fn every_public_function_of_the_store_runs_in_its_conformance_test() {
    let mut called = Paths::default();
    for file in std::fs::read_dir("tests/it/store_conformance").unwrap() {
        let stories = std::fs::read_to_string(file.unwrap().path()).unwrap();
        called.visit_file(&syn::parse_file(&stories).unwrap());
    }
    let mut found = Vec::new();
    for file in sources().into_iter().filter(|file| file.starts_with("src/store")) {
        let module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let parsed = syn::parse_file(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for item in &parsed.items {
            let syn::Item::Fn(function) = item else { continue };
            let is_public = matches!(function.vis, syn::Visibility::Public(_));
            if !is_public || function.sig.asyncness.is_none() || is_test_only(&function.attrs) {
                continue;
            }
            let name = function.sig.ident.to_string();
            let is_called = called.0.iter().any(|path| path.ends_with(&[module.clone(), name.clone()]));
            if !is_called {
                found.push(format!(
                    "{}:{}: {module}::{name} is not called in tests/it/store_conformance; every public store function runs there on both databases",
                    file.display(),
                    function.sig.ident.span().start().line,
                ));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn the_rules_find_what_breaks_them() {
    let broken = [
        ("src/domain/x.rs", "use crate::store::Store;", Rule::Rings),
        ("src/domain/x.rs", "fn f() { crate::ambient::new_id(); }", Rule::Rings),
        ("src/store/x.rs", "use crate::{domain::area, provider::SmsGateway};", Rule::Rings),
        ("src/store/x.rs", "use super::super::web::Web;", Rule::Rings),
        ("src/render/x.rs", "fn f() { println!(\"{}\", crate::config::X); }", Rule::Rings),
        ("src/actions/x.rs", "use crate as other;", Rule::Rings),
        ("src/actions/x.rs", "use crate::*;", Rule::Rings),
        ("src/web/x.rs", "fn f(a: sqlx::Error) {}", Rule::Owners),
        ("src/web/x.rs", "#[derive(Debug, sqlx::FromRow)] struct X;", Rule::Owners),
        ("src/web/x.rs", "use ::reqwest::Client;", Rule::Owners),
        ("src/upkeep/clock.rs", "use ed25519_dalek::SigningKey;", Rule::Owners),
        ("src/domain/x.rs", "use serde::Serialize;", Rule::Domain),
        ("src/domain/x.rs", "#[derive(serde::Serialize)] struct X;", Rule::Domain),
        ("src/store/x.rs", "fn f() { std::env::var(\"X\"); }", Rule::Environment),
        ("src/store/x.rs", "#[allow(dead_code)] fn f() {}", Rule::Allow),
    ];
    for (file, source, rule) in broken {
        let found = check(Path::new(file), source, rule);
        assert!(!found.is_empty(), "{rule:?} overlooks {source}");
        assert!(found[0].starts_with(&format!("{file}:1: ")), "{}", found[0]);
    }
    let fine = [
        ("src/store/x.rs", "use crate::domain::area::Area; use super::Session; use sqlx::Row;"),
        ("src/domain/x.rs", "#[cfg(test)] mod tests { use crate::store::Store; use serde::Serialize; }"),
        ("src/web/x.rs", "use crate::{actions::Desk, store::{self, area}}; use axum::Router;"),
        ("src/upkeep/seal.rs", "use ed25519_dalek::SigningKey;"),
    ];
    for (file, source) in fine {
        for rule in [Rule::Rings, Rule::Owners, Rule::Domain, Rule::Environment, Rule::Allow] {
            assert_eq!(check(Path::new(file), source, rule), Vec::<String>::new());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Rings,
    Owners,
    Domain,
    Environment,
    Allow,
}

fn assert_none(found: &[String]) {
    let mut text = String::new();
    for line in found {
        writeln!(text, "  {line}").unwrap();
    }
    assert!(found.is_empty(), "{} broken:\n{text}", found.len());
}

fn violations(rule: Rule) -> Vec<String> {
    static SOURCES: OnceLock<Vec<(PathBuf, Imports)>> = OnceLock::new();
    let sources = SOURCES.get_or_init(|| {
        let exempt = test_only_files();
        let files = sources().into_iter().filter(|file| !exempt.contains(file));
        files.map(|file| (file.clone(), imports(&file, &std::fs::read_to_string(&file).unwrap()))).collect()
    });
    sources.iter().flat_map(|(file, imports)| broken(file, imports, rule)).collect()
}

/// Every source file, sorted.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(Path::new("src"), &mut files);
    files.sort();
    assert!(files.len() > 50, "the source is found");
    files
}

/// Files behind `#[cfg(test)] mod name;`.
fn test_only_files() -> BTreeSet<PathBuf> {
    let mut exempt = BTreeSet::new();
    for file in sources() {
        let parsed = syn::parse_file(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let folder = match file.file_stem().unwrap().to_str().unwrap() {
            "mod" | "lib" | "main" => file.parent().unwrap().to_owned(),
            _ => file.with_extension(""),
        };
        for item in parsed.items {
            if let syn::Item::Mod(module) = item
                && module.content.is_none()
                && is_test_only(&module.attrs)
            {
                exempt.insert(folder.join(format!("{}.rs", module.ident)));
                exempt.insert(folder.join(module.ident.to_string()).join("mod.rs"));
            }
        }
    }
    exempt
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "test")
    })
}

/// Ring and module path of a file: `src/web/api/alert.rs` is `[web, api, alert]`.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> = file
        .with_extension("")
        .components()
        .skip(1)
        .map(|part| part.as_os_str().to_str().unwrap().to_owned())
        .collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

fn check(file: &Path, source: &str, rule: Rule) -> Vec<String> {
    broken(file, &imports(file, source), rule)
}

fn imports(file: &Path, source: &str) -> Imports {
    let mut imports = Imports { module: module_path(file), found: Vec::new(), allows: Vec::new() };
    imports.visit_file(&syn::parse_file(source).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    imports
}

fn broken(file: &Path, imports: &Imports, rule: Rule) -> Vec<String> {
    let at = |line: usize, text: String| format!("{}:{line}: {text}", file.display());
    let ring = imports.module[0].as_str();
    if rule == Rule::Allow {
        return imports
            .allows
            .iter()
            .map(|line| at(*line, "write #[expect(lint, reason)], never #[allow]".into()))
            .collect();
    }
    let crates = dependencies();
    let mut broken = Vec::new();
    for (path, line) in &imports.found {
        let first = path[0].as_str();
        let text = match rule {
            Rule::Rings if first == "crate" => ring_rule(ring, path.get(1).map(String::as_str)),
            Rule::Owners if crates.contains(first) => owner_rule(file, ring, first),
            Rule::Domain if ring == "domain" && crates.contains(first) && !PURE.contains(&first) => {
                Some(format!("domain imports pure crates only ({}), never {first}", PURE.join(", ")))
            }
            Rule::Environment if path[..].starts_with(&["std".into(), "env".into()]) => {
                let may = ["config", "cli", "main"].contains(&ring);
                (!may).then(|| "only config reads the environment (cli its arguments)".to_owned())
            }
            _ => None,
        };
        broken.extend(text.map(|text| at(*line, text)));
    }
    broken.dedup();
    broken
}

fn ring_rule(ring: &str, imported: Option<&str>) -> Option<String> {
    let (_, may) = RINGS.iter().find(|(name, _)| *name == ring).unwrap_or(&("", &[]));
    if *may == ["*"] {
        return None;
    }
    let allowed = if may.is_empty() { "nothing".to_owned() } else { may.join(", ") };
    match imported {
        None | Some("*") => Some(format!("{ring} names what it imports; it may import {allowed}")),
        Some(name) if name == ring || may.contains(&name) => None,
        Some(name) => Some(format!("{ring} may import {allowed}, not {name}")),
    }
}

fn owner_rule(file: &Path, ring: &str, krate: &str) -> Option<String> {
    let (_, owners) = OWNERS.iter().find(|(name, _)| *name == krate)?;
    let is_owner = owners.iter().any(|owner| *owner == ring || file == Path::new("src").join(owner));
    (!is_owner).then(|| format!("{krate} belongs to {}; nobody else imports it", owners.join(", ")))
}

/// Names of the crates in Cargo.toml as paths spell them.
fn dependencies() -> &'static BTreeSet<String> {
    static NAMES: OnceLock<BTreeSet<String>> = OnceLock::new();
    NAMES.get_or_init(read_dependencies)
}

fn read_dependencies() -> BTreeSet<String> {
    let manifest: toml::Table = std::fs::read_to_string("Cargo.toml").unwrap().parse().unwrap();
    ["dependencies", "dev-dependencies"]
        .iter()
        .flat_map(|table| manifest[*table].as_table().unwrap().keys())
        .map(|name| name.replace('-', "_"))
        .collect()
}

/// Collects every path that begins with `crate` or a crate's name, `self` and `super` resolved.
struct Imports {
    module: Vec<String>,
    found: Vec<(Vec<String>, usize)>,
    allows: Vec<usize>,
}

impl Imports {
    fn add(&mut self, path: &[String], span: Span) {
        let Some(first) = path.first() else { return };
        let line = span.start().line;
        let supers = path.iter().take_while(|part| *part == "super").count();
        if first == "self" || supers > 0 {
            let mut full = vec!["crate".to_owned()];
            full.extend_from_slice(&self.module[..self.module.len().saturating_sub(supers)]);
            full.extend(path.iter().skip(supers.max(usize::from(first == "self"))).cloned());
            if full.len() > 1 {
                self.found.push((full, line));
            }
            return;
        }
        self.found.push((path.to_vec(), line));
    }

    fn use_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(name.ident.to_string()), name.span()),
            syn::UseTree::Rename(name) => self.add(&with(name.ident.to_string()), name.span()),
            syn::UseTree::Glob(glob) => self.add(&with("*".to_owned()), glob.span()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(prefix, tree)),
        }
    }

    /// Paths inside a macro's tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        for (path, span) in token_paths(tokens) {
            if path.len() > 1 {
                self.add(&path, span);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if is_test_only(&module.attrs) {
            return;
        }
        self.module.push(module.ident.to_string());
        syn::visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !is_test_only(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test_only(&function.attrs) {
            syn::visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.add(&[item.ident.to_string()], item.span());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.add(&parts, path.span());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("allow") {
            self.allows.push(attribute.span().start().line);
        }
        syn::visit::visit_attribute(self, attribute);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(list.tokens.clone());
        syn::visit::visit_meta_list(self, list);
    }
}

/// Every path of a file, also inside macros, as its parts.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.0.extend(token_paths(call.tokens.clone()).into_iter().map(|(path, _)| path));
        syn::visit::visit_macro(self, call);
    }
}

/// Runs of identifiers joined by `::`, groups included.
fn token_paths(tokens: TokenStream) -> Vec<(Vec<String>, Span)> {
    let mut found = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut span = Span::call_site();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    found.extend((!path.is_empty()).then(|| (std::mem::take(&mut path), span)));
                    span = ident.span();
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                found.extend((!path.is_empty()).then(|| (std::mem::take(&mut path), span)));
                found.extend(token_paths(group.stream()));
                colons = 0;
            }
            _ => {
                found.extend((!path.is_empty()).then(|| (std::mem::take(&mut path), span)));
                colons = 0;
            }
        }
    }
    found.extend((!path.is_empty()).then_some((path, span)));
    found
}
