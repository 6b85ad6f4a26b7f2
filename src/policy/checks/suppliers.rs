//! Suppliers: who made a package, as its SBOM says.
//!
//! SPDX 2 writes `Organization: Acme (mail@acme.test)`; an entry matches all of that or the name alone. SPDX 3 names an
//! agent, CycloneDX `supplier.name`. Allowed names are compared exactly, denied ones in any capitals. With `allow`, a
//! package must say its supplier unless `required: false`; what stands for the image itself, its operating system or a file
//! need not.

use super::{CheckFailure, Form, Package, Reason, named, short, texts};
use crate::{policy::sentence::any_of, yaml::Cursor};

/// `suppliers`.
#[derive(Debug, Clone)]
pub(crate) struct Suppliers {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
    required: bool,
}

impl Suppliers {
    pub(super) fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        let fields = cursor.fields(&["allow", "deny", "required"], &[])?;
        let names = |key| super::optional(fields.get(key), |cursor| texts(cursor, "a supplier's name"));
        let required = super::optional(fields.get("required"), |cursor| cursor.boolean());
        let (allow, deny, required) = (names("allow")?, names("deny")?, required?);
        if allow.is_none() && deny.is_none() && required != Some(true) {
            cursor.wrong("asks for nothing; write `allow`, `deny` or `required: true`");
            return None;
        }
        let required = required.unwrap_or(allow.is_some());
        Some(Self { allow, deny: deny.unwrap_or_default(), required })
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
        let forms = [supplier.as_str(), name_of(supplier)];
        if let Some(denied) = self.deny.iter().find(|denied| forms.iter().any(|form| form.eq_ignore_ascii_case(denied))) {
            return failure(format!("wants no package of supplier {}; found {}", short(denied, 60), named(package)));
        }
        match &self.allow {
            Some(allow) if !allow.iter().any(|allowed| forms.contains(&allowed.as_str())) => {
                failure(format!("wants suppliers {}; found {} of {}", any_of(allow, 40), short(supplier, 60), named(package)))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn form(&self, form: &mut Form) {
        let Self { allow, deny, required } = self;
        form.list(allow.as_slice(), |form, allow| form.list(allow, |form, name| form.text(name)));
        form.list(deny, |form, name| form.text(name));
        form.flag(*required);
    }
}

/// The name in SPDX 2's form.
fn name_of(supplier: &str) -> &str {
    let name =
        ["Organization:", "Person:", "Tool:"].iter().find_map(|kind| supplier.strip_prefix(kind)).unwrap_or(supplier).trim();
    match name.split_once(" (") {
        Some((name, mail)) if mail.ends_with(')') => name.trim_end(),
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::parsed, *};

    fn package(supplier: Option<&str>, is_frame: bool) -> Package {
        Package { name: "zlib".into(), supplier: supplier.map(Into::into), is_frame, ..Package::default() }
    }

    fn judge(yaml: &str, supplier: Option<&str>) -> Result<(), String> {
        let check = parsed(yaml, Suppliers::parse).unwrap();
        check.judge(&package(supplier, false)).map_err(|failure| failure.summary)
    }

    #[test]
    fn allowed_and_denied_names_are_found_in_every_form() {
        for (yaml, yes, no) in [
            (
                "{allow: [Acme, Alpine Linux]}",
                &[Some("Organization: Acme (x@acme.test)"), Some("Acme"), Some("Person: Alpine Linux")][..],
                &[Some("acme"), Some("Acme Corp"), Some("Organization: Evil (Acme)"), Some("Acme (Evil"), None][..],
            ),
            ("{allow: [\"Organization: Acme (x@acme.test)\"]}", &[Some("Organization: Acme (x@acme.test)")], &[Some("Acme")]),
            ("{allow: [Acme], required: false}", &[Some("Acme"), None], &[Some("Evil")]),
            ("{deny: [Evil]}", &[Some("Acme"), None], &[Some("evil"), Some("Organization: EVIL")]),
            ("{required: true}", &[Some("any")], &[None]),
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
