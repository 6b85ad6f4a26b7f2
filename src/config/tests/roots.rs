//! Trust roots: their names, what they give up, and who asks for them.

use super::*;

#[test]
fn trust_roots_have_names_and_what_they_give_up_is_said_at_start() {
    let text = format!(
        "{SMALL}trust_roots:\n  default: sigstore\n  acme: acme.json\n  \
         github: {{path: github.json, dangerous_no_log: true, dangerous_no_sct: true}}\n"
    );
    let directory = directory(&text);
    for name in ["acme.json", "github.json"] {
        fs::write(directory.path().join(name), "{}").unwrap();
    }
    let file = |name: &str| TrustRootSource::File(directory.path().join(name));
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    let lax = Relaxed { no_log: true, no_sct: true };
    assert_eq!(
        roots(&config),
        [
            ("acme", &file("acme.json"), Relaxed::default()),
            ("default", &TrustRootSource::Sigstore, Relaxed::default()),
            ("github", &file("github.json"), lax)
        ]
    );
    let weak: Vec<_> = config.weaknesses.iter().map(|weakness| weakness.kind).collect();
    assert_eq!(weak, ["dangerous_no_log", "dangerous_no_sct"]);
    assert!(config.weaknesses[0].sentence.starts_with("trust root github has no log"), "{}", config.weaknesses[0]);
    assert!(
        Config::read(&directory.path().join("pullgate.yaml")).sources.files.iter().any(|read| read.ends_with("github.json")),
        "watched"
    );
}

#[test]
fn a_policy_that_asks_an_unknown_root_is_a_problem_where_it_asks() {
    let policy = |root: &str| {
        format!(
            "name: acme\nimages: [\"ghcr.io/acme/**\"]\nlog: proof\nsignatures:\n  - keyless:\n      issuer: https://i\n      \
             subject: https://s\n      trust_root: {root}\n"
        )
    };
    let directory = directory(&format!(
        "{SMALL}trust_roots: {{default: sigstore, acme: a.json, github: {{path: a.json, dangerous_no_log: true}}}}\n"
    ));
    fs::write(directory.path().join("a.json"), "{}").unwrap();
    let write = |root: &str| fs::write(directory.path().join("policies/acme.yaml"), policy(root)).unwrap();
    for (root, said) in [
        ("acmee", "no trust root is called `acmee`; did you mean `acme`?"),
        ("quay", "no trust root is called `quay`; configured: acme, default, github"),
    ] {
        write(root);
        assert_eq!(problems_in(&directory), [format!("policies/acme.yaml:8:19: signatures[0].keyless.trust_root: {said}")]);
    }
    write("github");
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(
        config.notices,
        [
            "no policy asks trust root acme: what it proves counts nowhere",
            "policy acme wants log: proof, and trust root github has no log: it proves none"
        ]
    );
    // Only the root called default is there without being named.
    assert_eq!(load(SMALL).notices, Vec::<String>::new());
}

#[test]
fn trust_roots_that_cannot_be_meant_are_problems() {
    let nine: String = (0..8).map(|at| format!("r{at}: sigstore, ")).collect();
    for (wrong, said) in [
        ("trust_roots: {}", "trust_roots: wants a root called `default`, as in {default: sigstore}"),
        ("trust_roots: {defalt: sigstore}", "wants a root called `default`, as in {default: sigstore}; is one misspelt?"),
        ("trust_roots: sigstore", "trust_roots: wants a mapping"),
        ("trust_roots: {default: Sigstore}", "trust_roots.default: write `sigstore`, in lower case"),
        ("trust_roots: {default: none.json}", "trust_roots.default: none.json cannot be opened"),
        ("trust_roots: {default: {dangerous_no_log: true}}", "trust_roots.default.path: missing"),
        ("trust_roots: {default: {path: pullgate.yaml, dangerous_no_log: yes}}", "dangerous_no_log: wants true or false"),
        ("trust_roots: {default: {path: pullgate.yaml, no_log: true}}", "trust_roots.default.no_log: unknown key"),
        ("trust_roots: {default: sigstore, more: sigstore}", "trust_roots.more: `sigstore` is the root `default` already"),
        ("trust_roots: {default: sigstore, Acme: pullgate.yaml}", "trust_roots.Acme: a name is 1 to 63 lower-case letters"),
        ("trust_root: sigstore\ntrust_roots: {default: sigstore}", "trust_roots: beside `trust_root`"),
        (&format!("trust_roots: {{{nine}default: pullgate.yaml}}"), "trust_roots: 9 roots, at most 8"),
    ] {
        let problems = problems(&format!("{SMALL}{wrong}\n"));
        assert!(problems.iter().any(|problem| problem.contains(said)), "{wrong}: {problems:?}");
    }
}
