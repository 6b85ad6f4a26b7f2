//! The other files a file names: policies, deny-lists, what is watched.

use super::*;

#[test]
fn relative_paths_start_at_the_file_and_every_file_read_is_watched() {
    let directory = directory(&format!(
        "{SMALL}trust_root: root.json\nstore: {{path: data}}\ntls: {{cert: c.pem, key: k.pem, client_ca: a.pem}}\n"
    ));
    for name in ["root.json", "c.pem", "k.pem", "a.pem"] {
        fs::write(directory.path().join(name), "x").unwrap();
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.store.path, directory.path().join("data"));
    let file = TrustRootSource::File(directory.path().join("root.json"));
    assert_eq!(roots(&config), [("default", &file, Relaxed::default())]);
    let tls = config.server.tls.unwrap();
    assert_eq!((tls.cert, tls.client_ca), (directory.path().join("c.pem"), Some(directory.path().join("a.pem"))));
    assert_eq!(config.files.len(), 6);
    assert!(config.weaknesses.is_empty(), "{:?}", config.weaknesses);
    // O11: a key everybody can read is said.
    fs::set_permissions(directory.path().join("k.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.weaknesses.iter().map(|weakness| weakness.kind).collect::<Vec<_>>(), ["readable_secret"]);
}

#[test]
fn wildcards_skip_hidden_names_and_must_match() {
    let directory = directory(SMALL);
    fs::write(directory.path().join("policies/.swap.yaml"), "not: a policy\n").unwrap();
    fs::create_dir(directory.path().join("policies/x.yaml")).unwrap();
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.policies.policies().len(), 1);
    fs::remove_file(directory.path().join("policies/acme.yaml")).unwrap();
    assert_eq!(problems_in(&directory), ["pullgate.yaml:2:12: policies[0]: matches no file: policies/*.yaml"]);
    fs::create_dir(directory.path().join("policies/team")).unwrap();
    fs::write(directory.path().join("policies/team/acme.yaml"), POLICY).unwrap();
    fs::write(directory.path().join("policies/note.txt"), "").unwrap();
    fs::write(
        directory.path().join("pullgate.yaml"),
        SMALL.replace("policies/*.yaml", "policies/*/*.yaml, policies/*/acme.yaml"),
    )
    .unwrap();
    assert_eq!(Config::load(&directory.path().join("pullgate.yaml")).unwrap().policies.policies().len(), 1);
}

#[test]
fn o6_a_policy_that_is_a_link_to_nothing_is_a_problem_and_not_one_policy_less() {
    let directory = directory(SMALL);
    std::os::unix::fs::symlink("gone.yaml", directory.path().join("policies/strict.yaml")).unwrap();
    let problems = problems_in(&directory);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("strict.yaml cannot be opened: no such file or directory"), "{problems:?}");
    // Behind a wildcard, a directory without the file is no problem.
    fs::remove_file(directory.path().join("policies/strict.yaml")).unwrap();
    for team in ["a", "b"] {
        fs::create_dir(directory.path().join("policies").join(team)).unwrap();
    }
    fs::write(directory.path().join("policies/a/acme.yaml"), POLICY).unwrap();
    fs::write(directory.path().join("pullgate.yaml"), SMALL.replace("policies/*.yaml", "policies/*/acme.yaml")).unwrap();
    assert!(Config::load(&directory.path().join("pullgate.yaml")).is_ok());
}

#[test]
fn d4_deny_lists_are_read_and_watched_and_one_that_cannot_be_read_is_a_problem() {
    let text = format!("{SMALL}deny: [deny/*.yaml]\n");
    let directory = directory(&text);
    assert_eq!(problems_in(&directory), ["pullgate.yaml:3:8: deny[0]: deny cannot be listed: no such file or directory"]);
    fs::create_dir(directory.path().join("deny")).unwrap();
    assert!(problems_in(&directory)[0].contains("deny[0]: matches no file"));
    let digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    fs::write(directory.path().join("deny/a.yaml"), format!("- {{digest: \"{digest}\", reason: INC-1}}\n")).unwrap();
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.policies.deny().digest(&digest.parse().unwrap()).map(|reason| &**reason), Some("INC-1"));
    assert!(config.files.contains(&directory.path().join("deny/a.yaml")), "{:?}", config.files);
    assert!(config.directories.contains(&directory.path().join("deny")), "{:?}", config.directories);
    // Emptied by a writer that has not written yet: nothing is un-denied by it.
    fs::write(directory.path().join("deny/a.yaml"), "").unwrap();
    assert_eq!(problems_in(&directory), ["deny/a.yaml: is empty; write [] to deny nothing"]);
}
