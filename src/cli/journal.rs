//! What `journalctl` shows of an event: the journal keeps fields apart from the message, and shows the message alone.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Value, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::text::plain_text;

/// More than any event has.
const MOST_FIELDS: usize = 32;

/// The field that is the message itself.
const MESSAGE: &str = "message";

/// Lets the layer below see each event with its fields, and those of its spans, in the message as well.
pub(super) struct Legible<L>(pub(super) L);

impl<S, L> Layer<S> for Legible<L>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    L: Layer<S>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
        self.0.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut own = Fields::default();
        event.record(&mut own);
        let mut line = own.message().to_owned();
        for span in context.lookup_current().into_iter().flat_map(|span| span.scope().from_root()) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                fields.append_to(&mut line);
            }
        }
        own.append_to(&mut line);
        // Whatever files and servers have said, it is one line.
        let line = plain_text(&line);

        let Some((first, _)) = own.0.first() else { return self.0.on_event(event, context) };
        let mut values: [(&Field, Option<&dyn Value>); MOST_FIELDS] = [(first, None); MOST_FIELDS];
        for (place, (field, text)) in values.iter_mut().zip(&own.0) {
            *place = (field, Some(if field.name() == MESSAGE { &line } else { text }));
        }
        self.0.on_event(&Event::new(metadata, &metadata.fields().value_set(&values)), context);
    }
}

/// Fields of an event or a span, in words.
#[derive(Default)]
struct Fields(Vec<(Field, String)>);

impl Fields {
    fn message(&self) -> &str {
        self.0.iter().find(|(field, _)| field.name() == MESSAGE).map_or("", |(_, text)| text)
    }

    fn append_to(&self, line: &mut String) {
        for (field, text) in &self.0 {
            // Those that begin with `log.` say where in another library the event was written.
            if field.name() != MESSAGE && !field.name().starts_with("log.") {
                // A string takes everything.
                let _ = write!(line, " {field}={text}");
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.clone(), format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// The fields of each event that came, as a journal would keep them.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let pairs = fields.0.iter().map(|(field, text)| format!("{field}: {text}"));
            self.0.lock().unwrap().push(pairs.collect::<Vec<_>>().join("; "));
        }
    }

    #[test]
    fn the_message_says_what_stands_in_the_fields() {
        let kept = Kept::default();
        tracing::subscriber::with_default(Registry::default().with(Legible(kept.clone())), || {
            let _production = tracing::info_span!("production", day = %"2026-03-05", run = 7).entered();
            tracing::info!(stage = "prepare", seconds = 12.5, "stage done");
            let answer = "550 no\r\nall is lost\u{202e}";
            tracing::warn!(%answer, "a server says {answer}");
        });
        let [done, said] = kept.0.lock().unwrap().clone().try_into().unwrap();
        assert_eq!(
            done,
            "message: stage done day=2026-03-05 run=7 stage=prepare seconds=12.5; stage: prepare; seconds: 12.5"
        );
        let line = said.split("; ").next().unwrap();
        assert_eq!(
            line,
            "message: a server says 550 no  all is lost  day=2026-03-05 run=7 answer=550 no  all is lost "
        );
    }
}
