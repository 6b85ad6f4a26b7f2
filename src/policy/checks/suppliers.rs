//! Suppliers: who made a package, as its SBOM says.
//!
//! SPDX 2 writes `Organization: Acme (mail@acme.test)`; an entry matches all of that, it without its mail, or the name alone.
//! SPDX 3 names an agent, CycloneDX `supplier.name`: there all of it is the name, but for a mail address behind it, and
//! `Acme (Evil Corp)` is not Acme. Allowed names are compared exactly, denied ones in any capitals and with any white space between
//! words and around `Organization:`. With `allow`, a package must say its supplier unless `required: false`; what stands for the
//! image itself, its operating system or a file need not.

use super::{CheckFailure, Form, Package, Reason, named, pattern, short, texts};
use crate::{
    policy::{
        documents::sbom::{kind_and_name, without_mail},
        sentence::any_of,
    },
    yaml::Cursor,
};

/// `suppliers`.
#[derive(Debug, Clone)]
pub(crate) struct Suppliers {
    allow: Option<Vec<String>>,
    /// As written, and as it is compared.
    deny: Vec<(String, String)>,
    required: bool,
}

impl Suppliers {
    pub(super) fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        let fields = cursor.fields(&["allow", "deny", "required"], &[])?;
        let names = |key| {
            super::optional(fields.get(key), |cursor| {
                let names = texts(cursor, "a supplier's name")?;
                if let Some(mark) = names.iter().find_map(|name| pattern(name)) {
                    cursor.wrong(format!("are compared with the whole name; `{mark}` is no pattern here, write each name"));
                    return None;
                }
                Some(names)
            })
        };
        let required = super::optional(fields.get("required"), |cursor| cursor.boolean());
        let (allow, deny, required) = (names("allow")?, names("deny")?, required?);
        if allow.is_none() && deny.is_none() && required != Some(true) {
            cursor.wrong("asks for nothing; write `allow`, `deny` or `required: true`");
            return None;
        }
        let required = required.unwrap_or(allow.is_some());
        let deny = deny.unwrap_or_default().into_iter().map(|name| (name.clone(), folded(&name))).collect();
        Some(Self { allow, deny, required })
    }

    pub(super) fn judge(&self, package: &Package) -> Result<(), CheckFailure> {
        let failure = |summary| Err(CheckFailure { reason: Reason::SupplierDenied, summary });
        let Some(supplier) = &package.supplier else {
            return if self.required && !package.is_frame {
                failure(format!("wants a supplier of every package; found none of {}", named(package)))
            } else {
                Ok(())
            };
        };
        let forms = [Some(supplier.as_str()), without_mail(supplier), package.supplier_name.as_deref()];
        let found: Vec<String> = forms.into_iter().flatten().map(folded).collect();
        if let Some((denied, _)) = self.deny.iter().find(|(_, denied)| found.contains(denied)) {
            return failure(format!("wants no package of supplier {}; found {}", short(denied, 60), named(package)));
        }
        match &self.allow {
            Some(allow) if !allow.iter().any(|allowed| forms.contains(&Some(allowed.as_str()))) => {
                failure(format!("wants suppliers {}; found {} of {}", any_of(allow, 40), short(supplier, 60), named(package)))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn form(&self, form: &mut Form) {
        let Self { allow, deny, required } = self;
        form.list(allow.as_slice(), |form, allow| form.list(allow, |form, name| form.text(name)));
        form.list(deny, |form, (name, _)| form.text(name));
        form.flag(*required);
    }
}

/// In small letters, its words between single spaces, and a kind of agent before it as SPDX 2 has it: a denied supplier is no other
/// one with a space more or less.
fn folded(name: &str) -> String {
    let words = name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    kind_and_name(&words).map(|(kind, name)| format!("{kind}: {name}")).unwrap_or(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::parsed, *};
    use crate::{policy::documents::spdx, verify::Predicate};

    fn package(supplier: Option<&str>, is_frame: bool) -> Package {
        Package { name: "zlib".into(), supplier: supplier.map(Into::into), is_frame, ..Package::default() }
    }

    /// As a document of SPDX 2 has it.
    fn judge(yaml: &str, supplier: Option<&str>) -> Result<(), String> {
        let check = parsed(yaml, Suppliers::parse).unwrap();
        let document = json!({
            "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "a", "documentNamespace": "https://a", "creationInfo": {},
            "packages": [{"name": "zlib", "supplier": supplier}],
        });
        let mut judged = None;
        spdx::read(&Predicate::from(document.to_string()), spdx::Depth::Deep, &mut |package| judged = Some(check.judge(package)))
            .unwrap();
        judged.unwrap().map_err(|failure| failure.summary)
    }

    #[test]
    fn what_other_formats_write_behind_a_name_is_part_of_it() {
        let allowed = parsed("{allow: [Acme]}", Suppliers::parse).unwrap();
        for (supplier, passes) in [
            ("Acme", true),
            ("Acme (Evil Corp)", false),
            ("Organization: Acme", false),
            ("Organization: Acme (Evil Corp)", false),
            ("Acme <ops@acme.test>", true),
            ("Acme (ops@acme.test)", true),
            ("Acme <Evil Corp>", false),
            ("Acme <ops@acme.test)", false),
            ("Acme (Evil @ Corp)", false),
            ("Acme (Evil@)", false),
            ("Acme (@Evil)", false),
            ("Acme (Evil Corp) (x@evil.test)", false),
            ("Acme (x@evil.test) Corp", false),
        ] {
            assert_eq!(allowed.judge(&package(Some(supplier), false)).is_ok(), passes, "{supplier}");
        }
        let denied = parsed("{deny: [acme]}", Suppliers::parse).unwrap();
        assert!(denied.judge(&package(Some("Acme <ops@acme.test>"), false)).is_err());
        assert!(judge("{allow: [Acme]}", Some("Acme (Evil Corp)")).is_err());
    }

    #[test]
    fn allowed_and_denied_names_are_found_in_every_form() {
        for (yaml, yes, no) in [
            (
                "{allow: [Acme, Alpine Linux]}",
                &[Some("Organization: Acme (x@acme.test)"), Some("Acme"), Some("Person: Alpine Linux")][..],
                &[Some("acme"), Some("Acme Corp"), Some("Organization: Evil (Acme)"), Some("Acme (Evil"), None][..],
            ),
            (
                "{allow: [\"Organization: Acme\"]}",
                &[Some("Organization: Acme"), Some("Organization: Acme (x@acme.test)"), Some("Organization: Acme <x@acme.test>")],
                &[Some("Acme"), Some("Person: Acme"), Some("Organization: Acme (Evil) (x@acme.test)")],
            ),
            (
                "{deny: [\"Organization: Evil\"]}",
                &[Some("Person: Evil"), None],
                &[Some("Organization: Evil"), Some("organization: evil (x@evil.test)"), Some("Organization: Evil <x@evil.test>")],
            ),
            ("{allow: [\"Organization: Acme (x@acme.test)\"]}", &[Some("Organization: Acme (x@acme.test)")], &[Some("Acme")]),
            ("{allow: [Acme], required: false}", &[Some("Acme"), None], &[Some("Evil")]),
            (
                "{deny: [Evil]}",
                &[Some("Acme"), None],
                &[
                    Some("evil"),
                    Some("Organization: EVIL"),
                    Some("Organization: Evil <x@evil.test>"),
                    Some("organization: Evil"),
                    Some("PERSON:Evil"),
                    Some(" Organization: Evil"),
                    Some("Organization : Evil\n"),
                    Some("Evil "),
                    Some("Evil <x@evil.test> "),
                    Some("Organization: Evil  ( x@evil.test )"),
                ],
            ),
            (
                "{deny: [\"Organization: Evil Corp\"]}",
                &[Some("Person: Evil Corp"), Some("Organization: Evil: Corp"), Some("Evil Corp")],
                &[
                    Some("Organization:Evil Corp"),
                    Some("Organization :Evil Corp"),
                    Some("organization:  evil  corp"),
                    Some("Organization:Evil Corp (x@evil.test)"),
                    Some("Organization: Evil Corp < x@evil.test>"),
                ],
            ),
            (
                "{deny: [\"Organization:Evil\"]}",
                &[Some("Person: Evil"), Some("Evil")],
                &[Some("Organization: Evil"), Some("Organization:Evil"), Some("Organization: Evil (x@evil.test)")],
            ),
            (
                "{deny: [Evil  Corp]}",
                &[Some("EvilCorp")],
                &[Some("Evil Corp"), Some("Organization: evil\tcorp"), Some("Evil\u{a0}Corp (x@evil.test)")],
            ),
            ("{allow: [Acme]}", &[Some(" Organization: Acme "), Some("Acme\n")], &[Some("NOASSERTION "), Some("Acme  Corp")]),
            ("{deny: [ärger gmbh]}", &[Some("Aerger GmbH")], &[Some("Organization: ÄRGER GmbH"), Some("ÄRGER GMBH <x@a.test>")]),
            ("{required: true}", &[Some("any")], &[None, Some("Organization: ")]),
        ] {
            for supplier in yes {
                assert_eq!(judge(yaml, *supplier), Ok(()), "{yaml} {supplier:?}");
            }
            for supplier in no {
                assert!(judge(yaml, *supplier).is_err(), "{yaml} {supplier:?}");
            }
        }
        assert_eq!(judge("{allow: [Acme]}", Some("Evil")), Err("wants suppliers Acme; found Evil of zlib".into()));
        let check = parsed("{allow: [Acme]}", Suppliers::parse).unwrap();
        assert!(check.judge(&package(None, true)).is_ok() && check.judge(&package(Some("Evil"), true)).is_err());
    }
}
