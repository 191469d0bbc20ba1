//! What of a call is journaled: the question and the answer, in an encoding that stays the same.

use serde::Serialize;
use wavegate_ports::encoding::{AnsweredForm, AskedForm};
use wavegate_ports::plugins::{Answer, Question};

pub(crate) fn input(question: &Question) -> Vec<u8> {
    encode(&AskedForm::from(question))
}

pub(crate) fn output(answer: &Answer) -> Vec<u8> {
    encode(&AnsweredForm::from(answer))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    // These types have string keys and finite numbers only, which always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}
