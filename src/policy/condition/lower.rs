//! From the `cel` crate's syntax tree to an expression: everything it leaves open until a value is there is settled here.
//!
//! That tree has macros already expanded into loops, which are recognised by their shape and made whole
//! again: `all` must stop at the first failure and `filter` must not copy its list at every step.

use std::sync::Arc;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators},
};

use super::{
    expr::{Arithmetic, Comparison, Each, Kind, Literal, MAX_DEPTH, MAX_NESTING, MAX_NODES, Node, Root, What},
    functions::{Function, MACROS, Style},
    regexes,
    syntax::Wrong,
    time::Time,
};
use crate::yaml::{closest, shown};

/// The expression of `tree`, which was parsed from `source`.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn lower(tree: IdedExpr, source: &SourceInfo) -> Result<Node, Wrong> {
    Lower { source, nodes: 0, variables: Vec::new() }.node(tree, 0)
}

struct Lower<'s> {
    source: &'s SourceInfo,
    nodes: usize,
    /// The variables of the comprehensions around, the outermost first.
    variables: Vec<Arc<str>>,
}

impl Lower<'_> {
    fn node(&mut self, tree: IdedExpr, depth: usize) -> Result<Node, Wrong> {
        let at = self.source.offset_for(tree.id).map_or(0, |(start, _)| start);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Wrong::whole(format!("has more than {MAX_NODES} parts; split it")));
        }
        if depth > MAX_DEPTH {
            return Err(Wrong::new(at, format!("nests more than {MAX_DEPTH} deep; split it")));
        }
        let inner = depth + 1;
        let kind = match tree.expr {
            Expr::Call(call) => self.call(call, at, depth)?,
            Expr::Comprehension(comprehension) => self.each(*comprehension, at, inner)?,
            Expr::Ident(name) => self.name(&name, at)?,
            Expr::List(list) => Kind::List(self.nodes(list.elements, inner)?),
            Expr::Literal(literal) => Kind::Literal(value(&literal, at)?),
            Expr::Map(map) => {
                let entry = |entry: cel::common::ast::IdedEntryExpr| match entry.expr {
                    EntryExpr::MapEntry(entry) => Ok((self.node(entry.key, inner)?, self.node(entry.value, inner)?)),
                    EntryExpr::StructField(_) => Err(Wrong::new(at, "has no messages; write a map, {'key': value}")),
                };
                Kind::Map(map.entries.into_iter().map(entry).collect::<Result<_, _>>()?)
            }
            Expr::Select(select) => {
                let of = Box::new(self.node(*select.operand, inner)?);
                let field = Arc::from(select.field);
                if select.test { Kind::Has(of, field) } else { Kind::Select(of, field) }
            }
            Expr::Struct(_) => return Err(Wrong::new(at, "has no messages; write a map, {'key': value}")),
            Expr::Unspecified => return Err(Wrong::new(at, "cannot be parsed")),
        };
        Ok(Node { at, kind })
    }

    fn nodes(&mut self, trees: Vec<IdedExpr>, depth: usize) -> Result<Vec<Node>, Wrong> {
        trees.into_iter().map(|tree| self.node(tree, depth)).collect()
    }

    fn name(&self, name: &str, at: u32) -> Result<Kind, Wrong> {
        if let Some(depth) = self.variables.iter().rposition(|variable| **variable == *name) {
            return Ok(Kind::Variable(depth, Arc::clone(&self.variables[depth])));
        }
        if let Some(root) = Root::ALL.into_iter().find(|root| root.name() == name) {
            return Ok(Kind::Root(root));
        }
        let known = || Root::ALL.iter().map(|root| root.name()).chain(self.variables.iter().map(|name| &**name));
        let hint = match (name, closest(name, known())) {
            ("now" | "time", _) => "a condition cannot see the clock: its answer is remembered; write max_age".to_owned(),
            ("tag" | "reference", _) => "a condition cannot see the tag: its answer is remembered by digest".to_owned(),
            (_, Some(meant)) => format!("did you mean `{meant}`?"),
            (_, None) => "a condition sees predicate, statement, signer and image".to_owned(),
        };
        Err(Wrong::new(at, format!("unknown name `{}`; {hint}", shown(name))))
    }

    fn call(&mut self, CallExpr { func_name, target, args }: CallExpr, at: u32, depth: usize) -> Result<Kind, Wrong> {
        let inner = depth + 1;
        if target.is_none()
            && let Some(operator) = Operator::named(&func_name)
        {
            // The parser balances long chains into a tree, which is one list here.
            return match operator {
                Operator::And | Operator::Or => {
                    let mut parts = Vec::new();
                    self.chain(args, &func_name, depth, &mut parts)?;
                    Ok(if matches!(operator, Operator::And) { Kind::And(parts) } else { Kind::Or(parts) })
                }
                operator => operator.kind(self.nodes(args, inner)?).ok_or_else(|| Wrong::new(at, "cannot be parsed")),
            };
        }
        let method = target.is_some();
        let written = target.map(|target| *target).into_iter().chain(args).collect::<Vec<_>>();
        if func_name == "matches" {
            return self.matches(written, at, inner);
        }
        let function = function(&func_name, method, written.len(), at)?;
        let mut arguments = self.nodes(written, inner)?;
        // A time that is written out is read now: one that is none would refuse everything later.
        if let (Function::Duration | Function::Timestamp, [Node { kind: Kind::Literal(Literal::Text(text)), .. }]) =
            (function, &*arguments)
        {
            let time = if function == Function::Duration { Time::duration(text) } else { Time::timestamp(text) };
            let time = time.ok_or_else(|| {
                Wrong::new(at, format!("`{}` is no {}; write {}", shown(text), function.name(), function.usage()))
            })?;
            return Ok(Kind::Literal(Literal::Time(time)));
        }
        arguments.shrink_to_fit();
        Ok(Kind::Call(function, arguments))
    }

    fn chain(&mut self, trees: Vec<IdedExpr>, name: &str, depth: usize, parts: &mut Vec<Node>) -> Result<(), Wrong> {
        for tree in trees {
            match tree.expr {
                Expr::Call(call) if call.target.is_none() && call.func_name == name => {
                    self.chain(call.args, name, depth, parts)?;
                }
                expr => parts.push(self.node(IdedExpr { id: tree.id, expr }, depth + 1)?),
            }
        }
        Ok(())
    }

    fn matches(&mut self, mut written: Vec<IdedExpr>, at: u32, depth: usize) -> Result<Kind, Wrong> {
        let (Some(pattern), Some(text), true) = (written.pop(), written.pop(), written.is_empty()) else {
            return Err(Wrong::new(at, "wrong number of arguments; write text.matches('^pattern$')"));
        };
        let text = self.node(text, depth)?;
        let pattern = self.node(pattern, depth)?;
        let Kind::Literal(Literal::Text(literal)) = &pattern.kind else {
            // A pattern out of the document would let the document choose what it is checked for, and at what cost.
            return Err(Wrong::new(pattern.at, "the pattern of matches() must be written out: text.matches('^pattern$')"));
        };
        let compiled = regexes::compile(literal)
            .map_err(|message| Wrong::new(pattern.at, format!("the pattern `{}` {message}", shown(literal))))?;
        Ok(Kind::Matches(Box::new(text), compiled))
    }

    fn each(&mut self, comprehension: ComprehensionExpr, at: u32, depth: usize) -> Result<Kind, Wrong> {
        let ComprehensionExpr { iter_range, iter_var, accu_init, loop_step, .. } = comprehension;
        let over = self.node(iter_range, depth)?;
        if self.variables.len() == MAX_NESTING {
            return Err(Wrong::new(at, format!("nests comprehensions more than {MAX_NESTING} deep: the work multiplies")));
        }
        if Root::ALL.iter().any(|root| root.name() == iter_var) || self.variables.iter().any(|name| **name == *iter_var) {
            return Err(Wrong::new(at, format!("`{}` is the name of something else here; choose another", shown(&iter_var))));
        }
        let variable: Arc<str> = Arc::from(iter_var);
        self.variables.push(Arc::clone(&variable));
        let (what, filter, body) =
            shape(&variable, &accu_init.expr, loop_step.expr).ok_or_else(|| Wrong::new(at, "is no comprehension known here"))?;
        let what = match (what, filter) {
            (What::Map(_), Some(filter)) => What::Map(Some(self.node(filter, depth)?)),
            (what, _) => what,
        };
        let body = self.node(body, depth)?;
        self.variables.pop();
        Ok(Kind::Each(Box::new(Each { what, over, variable, depth: self.variables.len(), body })))
    }
}

/// Which macro the parser made a loop of, by the loop's start and step: what it is, the condition of a `map` with three
/// arguments, and what is computed of every element.
fn shape(variable: &str, start: &Expr, step: Expr) -> Option<(What, Option<IdedExpr>, IdedExpr)> {
    let Expr::Call(CallExpr { func_name, mut args, .. }) = step else { return None };
    match (&*func_name, start) {
        (operators::LOGICAL_AND, Expr::Literal(_)) => Some((What::All, None, args.pop()?)),
        (operators::LOGICAL_OR, Expr::Literal(_)) => Some((What::Exists, None, args.pop()?)),
        (operators::ADD, Expr::List(_)) => Some((What::Map(None), None, added(args)?)),
        (operators::CONDITIONAL, Expr::Literal(_)) => Some((What::ExistsOne, None, args.into_iter().next()?)),
        (operators::CONDITIONAL, Expr::List(_)) => {
            let mut args = args.into_iter();
            let condition = args.next()?;
            let Expr::Call(adding) = args.next()?.expr else { return None };
            let item = added(adding.args)?;
            // `map(x, condition, x)` is a filter too.
            let itself = matches!(&item.expr, Expr::Ident(name) if name == variable);
            Some(if itself { (What::Filter, None, condition) } else { (What::Map(None), Some(condition), item) })
        }
        _ => None,
    }
}

/// `x` of the arguments of `result + [x]`.
fn added(mut args: Vec<IdedExpr>) -> Option<IdedExpr> {
    match args.pop()?.expr {
        Expr::List(mut list) => list.elements.pop(),
        _ => None,
    }
}

fn value(literal: &LiteralValue, at: u32) -> Result<Literal, Wrong> {
    Ok(match literal {
        LiteralValue::Boolean(value) => Literal::Bool(**value),
        LiteralValue::Bytes(_) => return Err(Wrong::new(at, "documents hold no bytes; write a string")),
        LiteralValue::Double(value) => Literal::Double(**value),
        LiteralValue::Int(value) => Literal::Int(**value),
        LiteralValue::Null => Literal::Null,
        LiteralValue::String(text) => Literal::Text(Arc::from(text.inner())),
        LiteralValue::UInt(value) => Literal::UInt(**value),
    })
}

fn function(name: &str, method: bool, arguments: usize, at: u32) -> Result<Function, Wrong> {
    if let Some((_, usage)) = MACROS.iter().find(|(known, _)| *known == name) {
        return Err(Wrong::new(at, format!("wrong arguments of `{name}`; write {usage}")));
    }
    let Some(function) = Function::named(name) else {
        let known =
            || Function::ALL.iter().map(|known| known.name()).chain(MACROS.iter().map(|(known, _)| *known)).chain(["matches"]);
        let hint = match (name, closest(name, known())) {
            ("now", _) => "a condition cannot see the clock: its answer is remembered; write max_age".to_owned(),
            (_, Some(meant)) => format!("did you mean `{meant}`?"),
            (_, None) => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
        };
        return Err(Wrong::new(at, format!("unknown function `{}`; {hint}", shown(name))));
    };
    let style = match function.style() {
        Style::Both => true,
        Style::Global => !method,
        Style::Method => method,
    };
    if style && arguments == function.arity() {
        return Ok(function);
    }
    Err(Wrong::new(at, format!("wrong arguments of `{name}`; write {}", function.usage())))
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    And,
    Arithmetic(Arithmetic),
    Compare(Comparison),
    Conditional,
    In,
    Index,
    Negate,
    Not,
    Or,
}

impl Operator {
    /// The operator of the parser's name for it.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            operators::ADD => Self::Arithmetic(Arithmetic::Add),
            operators::CONDITIONAL => Self::Conditional,
            operators::DIVIDE => Self::Arithmetic(Arithmetic::Divide),
            operators::EQUALS => Self::Compare(Comparison::Equal),
            operators::GREATER => Self::Compare(Comparison::Greater),
            operators::GREATER_EQUALS => Self::Compare(Comparison::GreaterOrEqual),
            operators::IN => Self::In,
            operators::INDEX => Self::Index,
            operators::LESS => Self::Compare(Comparison::Less),
            operators::LESS_EQUALS => Self::Compare(Comparison::LessOrEqual),
            operators::LOGICAL_AND => Self::And,
            operators::LOGICAL_NOT => Self::Not,
            operators::LOGICAL_OR => Self::Or,
            operators::MODULO => Self::Arithmetic(Arithmetic::Remainder),
            operators::MULTIPLY => Self::Arithmetic(Arithmetic::Multiply),
            operators::NEGATE => Self::Negate,
            operators::NOT_EQUALS => Self::Compare(Comparison::NotEqual),
            operators::SUBSTRACT => Self::Arithmetic(Arithmetic::Subtract),
            _ => return None,
        })
    }

    /// The operator with its operands, where they are as many as it takes.
    fn kind(self, mut operands: Vec<Node>) -> Option<Kind> {
        Some(match self {
            Self::And | Self::Or => return None,
            Self::Arithmetic(sign) => Kind::Arithmetic(sign, Box::new(operands.try_into().ok()?)),
            Self::Compare(sign) => Kind::Compare(sign, Box::new(operands.try_into().ok()?)),
            Self::Conditional => Kind::Conditional(Box::new(operands.try_into().ok()?)),
            Self::In => Kind::In(Box::new(operands.try_into().ok()?)),
            Self::Index => Kind::Index(Box::new(operands.try_into().ok()?)),
            Self::Negate => Kind::Negate(Box::new(operands.pop()?)),
            Self::Not => Kind::Not(Box::new(operands.pop()?)),
        })
    }
}
