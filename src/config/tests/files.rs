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
    let Reading { config, sources, .. } = Config::read(&directory.path().join("pullgate.yaml"));
    let config = config.unwrap();
    assert_eq!(config.store.path, directory.path().join("data"));
    let file = TrustRootSource::File(directory.path().join("root.json"));
    assert_eq!(roots(&config), [("default", &file, Relaxed::default())]);
    let tls = config.server.tls.unwrap();
    assert_eq!((tls.cert, tls.client_ca), (directory.path().join("c.pem"), Some(directory.path().join("a.pem"))));
    assert_eq!(sources.files.len(), 6);
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
    let Reading { config, sources, .. } = Config::read(&directory.path().join("pullgate.yaml"));
    let config = config.unwrap();
    assert_eq!(config.policies.deny().digest(&digest.parse().unwrap()).map(|reason| &**reason), Some("INC-1"));
    assert!(sources.files.contains(&directory.path().join("deny/a.yaml")), "{sources:?}");
    assert!(sources.directories.contains(&directory.path().join("deny")), "{sources:?}");
    // Emptied by a writer that has not written yet: nothing is un-denied by it.
    fs::write(directory.path().join("deny/a.yaml"), "").unwrap();
    assert_eq!(problems_in(&directory), ["deny/a.yaml: is empty; write [] to deny nothing"]);
}

#[test]
fn d4_a_deny_file_that_is_too_large_says_what_to_do_and_holds_back_no_other() {
    let directory = directory(&format!("{SMALL}deny: [deny/*.yaml]\n"));
    let (file, deny) = (directory.path().join("pullgate.yaml"), directory.path().join("deny"));
    fs::create_dir(&deny).unwrap();
    fs::write(deny.join("feed.yaml"), vec![b'#'; 1 + usize::try_from(crate::policy::deny::MAX_FILE).unwrap()]).unwrap();
    fs::write(deny.join("today.yaml"), "- {package: pkg:a/b, reason: INC-1}\n").unwrap();
    let message = "deny/feed.yaml: larger than 16777216 bytes, so nothing in it is denied: write several files, which `deny` names \
                   by a pattern";
    assert_eq!(problems_in(&directory), [message]);
    assert_eq!(Config::read(&file).denials.read.len(), 1);
}

#[test]
fn d4_what_can_be_read_of_a_deny_list_is_told_whatever_is_wrong_and_whether_it_is_all() {
    let entry = |at: u8| format!("- {{digest: \"{}\", reason: INC-{at}}}\n", crate::oci::Digest::sha256(&[at]));
    let deny = "deny: [deny/*.yaml]\n";
    let [one, two] = [1, 2].map(entry);
    // The deny files and what is written in the configuration, how many are read, and whether that is all.
    for (files, config, read, is_whole) in [
        (vec![one.as_str(), &two], format!("{SMALL}{deny}"), 2, true),
        (vec!["[]"], format!("{SMALL}{deny}"), 0, true),
        (vec![], format!("{SMALL}deny: []\n"), 0, true),
        (vec![&one], SMALL.to_owned(), 0, false),
        // Wrong elsewhere.
        (vec![&one], format!("{SMALL}{deny}zzz: 1\n"), 1, true),
        // A file half written, an entry with a typo, a path that names nothing.
        (vec!["- {digest: \"sha256:00\", reason: half\n", &two], format!("{SMALL}{deny}"), 1, false),
        (vec![&(one.clone() + "- {digset: x, reason: y}\n" + &two)], format!("{SMALL}{deny}"), 2, false),
        (vec![&one], format!("{SMALL}deny: [none/*.yaml, deny/*.yaml, deny/z.yaml]\n"), 1, false),
        // Of two, either may be meant.
        (vec![&one], format!("{SMALL}deny: [deny/0.yaml]\n{deny}"), 1, false),
        (vec![&one], format!("{SMALL}{deny}---\n{SMALL}"), 1, false),
        (vec![&one], format!("{SMALL}deny: deny/0.yaml\n"), 0, false),
        (vec![&one], "deny: [".to_owned(), 0, false),
    ] {
        let directory = directory(&config);
        fs::create_dir(directory.path().join("deny")).unwrap();
        for (at, text) in files.iter().enumerate() {
            fs::write(directory.path().join(format!("deny/{at}.yaml")), text).unwrap();
        }
        let Denials { read: found, is_whole: whole } = Config::read(&directory.path().join("pullgate.yaml")).denials;
        assert_eq!((found.len(), whole), (read, is_whole), "{files:?} {config}");
    }
    // A link to nothing among them.
    let directory = directory(&format!("{SMALL}{deny}"));
    fs::create_dir(directory.path().join("deny")).unwrap();
    fs::write(directory.path().join("deny/a.yaml"), &one).unwrap();
    std::os::unix::fs::symlink("gone.yaml", directory.path().join("deny/b.yaml")).unwrap();
    let Reading { config, denials, sources } = Config::read(&directory.path().join("pullgate.yaml"));
    assert!(config.is_err());
    assert_eq!((denials.read.len(), denials.is_whole), (1, false));
    assert!(sources.files.contains(&directory.path().join("deny/b.yaml")), "{sources:?}");
}

#[test]
fn o6_what_a_wrong_configuration_names_is_watched() {
    let directory = directory(&SMALL.replace("policies/*.yaml", "policies/*.yaml, more/*.yaml, none/*.yaml"));
    fs::create_dir(directory.path().join("more")).unwrap();
    fs::write(directory.path().join("more/x.yaml"), "nmae: x\n").unwrap();
    let Reading { config, sources, .. } = Config::read(&directory.path().join("pullgate.yaml"));
    assert!(config.is_err());
    assert!(sources.files.contains(&directory.path().join("more/x.yaml")), "{sources:?}");
    assert!(sources.directories.contains(&directory.path().join("none")), "{sources:?}");
}

#[test]
fn a_command_needs_no_file_of_a_gate_that_it_does_not_open() {
    let text = SMALL.replace(
        "https://ghcr.io}",
        "https://ghcr.io, ca: ca.pem, credentials: {docker_config: secret/config.json}}, {host: a.test, layout: images}",
    );
    let text = format!("{text}tls: {{cert: c.pem, key: k.pem, client_ca: a.pem}}\n");
    let directory = directory(&text);
    let file = directory.path().join("pullgate.yaml");
    assert_eq!(problems_in(&directory).len(), 6, "the gate opens all of them");
    let config = Config::elsewhere(&file).unwrap_or_else(|problems| panic!("{problems}"));
    let Location::Registry(registry) = &config.upstreams[0].location else { panic!("{:?}", config.upstreams) };
    assert_eq!(registry.docker_configs, [directory.path().join("secret/config.json")]);
    assert_eq!(registry.ca, Some(directory.path().join("ca.pem")));
    // What it judges by it opens, and what is no path it says.
    for (wrong, told) in [
        ("trust_root: root.json\n", "root.json cannot be opened"),
        ("deny: [deny.yaml]\n", "deny.yaml cannot be opened"),
        ("tls: {cert: \"~/c.pem\", key: k.pem}\n", "are not expanded"),
        ("tls: {cert: c.pem}\n", "tls.key"),
    ] {
        fs::write(&file, format!("{SMALL}{wrong}")).unwrap();
        let problems = Config::elsewhere(&file).unwrap_err();
        assert!(problems.0.len() == 1 && problems.to_string().contains(told), "{wrong}: {problems}");
    }
}
