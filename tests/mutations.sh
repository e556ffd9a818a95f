#!/usr/bin/env bash
# Takes the client's fixes out, one by one, and demands that the simulator (src/simulation.rs in
# ssm-forward) notices: a simulation that passes without them proves nothing.
#
# All mutations go into one copy of the tree, each behind a switch that the environment sets, so that
# one build is enough. A text that is not found exactly once fails the run: move the mutation along.
#
#     tests/mutations.sh              all of them
#     tests/mutations.sh NAME...      these
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seeds=${SEEDS:-20000}
top=$PWD
work=${CARGO_TARGET_DIR:-$top/target}/mutations
# Its own: cargo would take the copy's crates for those of the tree.
export CARGO_TARGET_DIR=$work/build
tree=$work/tree
log=$work/log
names=()

rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$tree"

# mutation NAME FILE <<: the text, a line "====", the text with the switch `mutation!("NAME")`.
mutation() {
  local name=$1 file=$tree/crates/$2 text old new content rest
  text=$(cat)
  old=${text%%$'\n====\n'*}
  new=${text#*$'\n====\n'}
  content=$(<"$file")
  rest=${content/"$old"/}
  if [[ $rest == "$content" || ${rest/"$old"/} != "$rest" ]]; then
    echo "mutations.sh: the text of '$name' is not exactly once in $2"
    exit 1
  fi
  [[ $new == *"crate::mutation(\"$name\")"* ]] || { echo "mutations.sh: '$name' has no switch"; exit 1; }
  printf '%s\n' "${content/"$old"/"$new"}" >"$file"
  names+=("$name")
}

for crate in ssm-protocol ssm-smux ssm-forward; do
  cat >>"$tree/crates/$crate/src/lib.rs" <<'EOF'

#[allow(dead_code, clippy::all)]
fn mutation(name: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("SSM_MUTATION").ok());
    CHOSEN.as_deref() == Some(name)
}
EOF
done

mutation no-acknowledgement-of-duplicates ssm-protocol/src/session/receive.rs <<'EOF'
                self.stats.duplicates += 1;
                self.acknowledge(acknowledge);
====
                self.stats.duplicates += 1;
                if !crate::mutation("no-acknowledgement-of-duplicates") {
                    self.acknowledge(acknowledge);
                }
EOF

mutation acknowledges-what-it-does-not-keep ssm-protocol/src/session/receive.rs <<'EOF'
            Arrival::Refused => tracing::debug!(number, "no room ahead of a missing message"),
====
            Arrival::Refused if crate::mutation("acknowledges-what-it-does-not-keep") => {
                self.acknowledge(acknowledge);
            }
            Arrival::Refused => tracing::debug!(number, "no room ahead of a missing message"),
EOF

mutation acknowledges-before-it-can-deliver ssm-protocol/src/session/receive.rs <<'EOF'
        if self.closed {
            return Ok(());
        }
====
        if self.closed {
            return Ok(());
        }
        if crate::mutation("acknowledges-before-it-can-deliver")
            && let Ok(message) = Message::decode_unverified(frame.clone())
            && message.header.message_type == self.side.receives()
        {
            let acknowledge = Taken {
                id: message.header.message_id,
                number: message.header.sequence_number,
            };
            self.acknowledge(acknowledge);
        }
EOF

mutation drops-when-full ssm-smux/src/mux/receive.rs <<'EOF'
        if stream.quiet_until.is_some() {
            self.half_close_timers.arm(id, stream, now);
        }
====
        if crate::mutation("drops-when-full")
            && self.received >= self.config.session_receive_budget
        {
            return;
        }
        if stream.quiet_until.is_some() {
            self.half_close_timers.arm(id, stream, now);
        }
EOF

mutation fin-on-half-close ssm-smux/src/mux.rs <<'EOF'
        if stream.peer_finished || self.config.half_close_quiet.is_zero() {
====
        if stream.peer_finished
            || self.config.half_close_quiet.is_zero()
            || crate::mutation("fin-on-half-close")
        {
EOF

mutation data-before-handshake-complete ssm-protocol/src/session/handshake.rs <<'EOF'
            properties: outcome?,
        };
        Ok(())
====
            properties: outcome?,
        };
        if crate::mutation("data-before-handshake-complete") {
            return self.handle_handshake_complete(
                br#"{"HandshakeTimeToComplete":1,"CustomerMessage":""}"#,
                now,
            );
        }
        Ok(())
EOF

mutation a-resumption-sends-a-whole-window ssm-protocol/src/session/send/outbox/recovery.rs <<'EOF'
            self.flight = FIRST_FLIGHT;
====
            if !crate::mutation("a-resumption-sends-a-whole-window") {
                self.flight = FIRST_FLIGHT;
            }
EOF

mutation nothing-sent-again-after-a-resume ssm-protocol/src/session.rs <<'EOF'
        self.outbox.resend_all();
====
        if !crate::mutation("nothing-sent-again-after-a-resume") {
            self.outbox.resend_all();
        }
EOF

mutation own-numbers-start-anew-after-a-resume ssm-protocol/src/session.rs <<'EOF'
        self.connected = true;
        self.heard(now);
====
        self.connected = true;
        if crate::mutation("own-numbers-start-anew-after-a-resume")
            && self.handshake_deadline.is_some()
        {
            self.outbox = Outbox::new(&self.config, now);
        }
        self.heard(now);
EOF

mutation peers-numbers-start-anew-after-a-resume ssm-protocol/src/session.rs <<'EOF'
        self.acknowledgements.clear();
====
        self.acknowledgements.clear();
        if crate::mutation("peers-numbers-start-anew-after-a-resume") {
            self.inbox = Inbox::new(self.config.reorder_bytes);
        }
EOF

mutation a-duplicate-is-delivered ssm-protocol/src/session/receive/inbox.rs <<'EOF'
        if number < self.expected || self.ahead.contains_key(&number) {
====
        if number < self.expected && crate::mutation("a-duplicate-is-delivered") {
            return Arrival::InOrder(message);
        }
        if number < self.expected || self.ahead.contains_key(&number) {
EOF

mutation no-reordering ssm-protocol/src/session/receive/inbox.rs <<'EOF'
        let cost = message.payload.len() + OVERHEAD;
        if self.kept
====
        if crate::mutation("no-reordering") {
            self.expected = number + 1;
            return Arrival::InOrder(message);
        }
        let cost = message.payload.len() + OVERHEAD;
        if self.kept
EOF

mutation the-reorder-buffer-has-no-limit ssm-protocol/src/session/receive/inbox.rs <<'EOF'
        if self.kept.saturating_add(cost) > self.limit {
====
        if self.kept.saturating_add(cost) > self.limit && !crate::mutation("the-reorder-buffer-has-no-limit") {
EOF

mutation digests-are-not-checked ssm-protocol/src/wire/frame.rs <<'EOF'
        if checks == Checks::All && !payload.is_empty()
====
        if checks == Checks::All && !crate::mutation("digests-are-not-checked") && !payload.is_empty()
EOF

mutation sends-through-a-pause ssm-protocol/src/session.rs <<'EOF'
        if self.paused {
            return self.poll_probe(now);
        }
====
        if self.paused && !crate::mutation("sends-through-a-pause") {
            return self.poll_probe(now);
        }
EOF

mutation a-pause-without-a-start-stops-everything ssm-protocol/src/session.rs <<'EOF'
                SessionTimer::PauseProbe => self.probe_due = true,
====
                SessionTimer::PauseProbe => {
                    self.probe_due = true;
                    if crate::mutation("a-pause-without-a-start-stops-everything") {
                        (self.probe_due, self.probe_at) = (false, None);
                    }
                }
EOF

mutation data-is-dropped-on-pause ssm-protocol/src/session/pause.rs <<'EOF'
        if self.paused != paused {
            self.paused = paused;
====
        if self.paused != paused {
            if paused && crate::mutation("data-is-dropped-on-pause") {
                for number in 0..self.outbox.next_sequence_number() {
                    self.outbox.acknowledge(number, self.silent_since);
                }
            }
            self.paused = paused;
EOF

mutation nothing-is-ever-sent-again ssm-protocol/src/session.rs <<'EOF'
                SessionTimer::Retransmit => self.outbox.handle_timeout(now),
====
                SessionTimer::Retransmit if crate::mutation("nothing-is-ever-sent-again") => return Ok(()),
                SessionTimer::Retransmit => self.outbox.handle_timeout(now),
EOF

mutation the-window-leaks ssm-protocol/src/session/send/outbox.rs <<'EOF'
        self.unacknowledged -= entry.bytes;
====
        if !(entry.repeated && crate::mutation("the-window-leaks")) {
            self.unacknowledged -= entry.bytes;
        }
EOF

mutation the-window-has-no-limit ssm-protocol/src/session/send/outbox.rs <<'EOF'
        self.window.size().saturating_sub(self.unacknowledged)
====
        if crate::mutation("the-window-has-no-limit") {
            return usize::MAX;
        }
        self.window.size().saturating_sub(self.unacknowledged)
EOF

mutation a-slow-reader-is-taken-for-silence ssm-protocol/src/session.rs <<'EOF'
        self.receive_paused = receive_paused;
====
        self.receive_paused = receive_paused && !crate::mutation("a-slow-reader-is-taken-for-silence");
EOF

mutation the-receive-pause-is-never-lifted ssm-smux/src/mux.rs <<'EOF'
                self.received -= data.len();
                Read::Data(data)
====
                if !crate::mutation("the-receive-pause-is-never-lifted") {
                    self.received -= data.len();
                }
                Read::Data(data)
EOF

mutation slow-readers-do-not-stop-the-websocket ssm-smux/src/mux.rs <<'EOF'
        self.received >= self.config.session_receive_budget
====
        self.received >= self.config.session_receive_budget
            && !crate::mutation("slow-readers-do-not-stop-the-websocket")
EOF

mutation a-reader-is-woken-once ssm-smux/src/mux.rs <<'EOF'
                stream.readable_told = false;
====
                stream.readable_told &= crate::mutation("a-reader-is-woken-once");
EOF

mutation a-writer-is-never-woken ssm-smux/src/mux/send.rs <<'EOF'
                stream.pending_events.writable = true;
====
                stream.pending_events.writable = !crate::mutation("a-writer-is-never-woken");
EOF

mutation streams-are-mixed-up ssm-smux/src/wire/decoder.rs <<'EOF'
            self.data = (left > 0).then_some((stream, left));
====
            self.data = (left > 0 && !crate::mutation("streams-are-mixed-up"))
                .then_some((stream, left));
EOF

mutation the-answer-is-given-up-during-an-outage ssm-forward/src/port_forward/half_close.rs <<'EOF'
        let worst = held.max(std::mem::replace(&mut self.held, held));
====
        let mut worst = held.max(std::mem::replace(&mut self.held, held));
        if crate::mutation("the-answer-is-given-up-during-an-outage") {
            worst = Held::No;
        }
EOF

mutation the-keep-alive-counts-an-outage ssm-forward/src/port_forward/half_close.rs <<'EOF'
                    Held::Away => mux.reconnected(now),
====
                    Held::Away if crate::mutation("the-keep-alive-counts-an-outage") => {
                        mux.restart_quiet(now);
                    }
                    Held::Away => mux.reconnected(now),
EOF

mutation a-refusal-looks-like-an-end-of-file ssm-forward/src/port_forward/refusals.rs <<'EOF'
            self.refused.insert(id);
====
            if !crate::mutation("a-refusal-looks-like-an-end-of-file") {
                self.refused.insert(id);
            }
EOF

mutation leaves-before-streams-are-written-out ssm-forward/src/port_forward/channel.rs <<'EOF'
        matches!(self, Self::Mux(mux) if mux.unanswered() > 0)
====
        matches!(self, Self::Mux(mux) if mux.unanswered() > 0)
            && !crate::mutation("leaves-before-streams-are-written-out")
EOF

# Plan::between makes it happen; tests/basic.rs in ssm-forward shows it three times.
mutation a-session-is-reused-too-early ssm-forward/src/port_forward/basic.rs <<'EOF'
        if self.open.is_some() || self.disconnect || (self.stale && may_come) {
====
        let waits = self.stale && may_come && !crate::mutation("a-session-is-reused-too-early");
        if self.open.is_some() || self.disconnect || waits {
EOF

mutation old-agents-are-not-asked ssm-protocol/src/session/send/outbox/inquiring.rs <<'EOF'
        self.ack_once.enabled && self.ack_once.inquiry.is_none()
====
        !crate::mutation("old-agents-are-not-asked") && self.ack_once.enabled && self.ack_once.inquiry.is_none()
EOF

mutation one-silent-round-is-believed ssm-protocol/src/session/send/inquiry.rs <<'EOF'
        Some((round_trip, self.silent_rounds >= ROUNDS))
====
        let rounds = if crate::mutation("one-silent-round-is-believed") { 1 } else { ROUNDS };
        Some((round_trip, self.silent_rounds >= rounds))
EOF

mutation the-agent-gets-no-time-to-settle ssm-protocol/src/session/handshake.rs <<'EOF'
        let until = now.checked_add(settling_time(agent_version)).unwrap_or(now);
====
        let until = if crate::mutation("the-agent-gets-no-time-to-settle") {
            now
        } else {
            now + settling_time(agent_version)
        };
EOF

mutation messages-are-not-repeatable ssm-forward/src/port_forward/channel.rs <<'EOF'
        smux.repeatable = ready.capabilities.processes_before_counting;
====
        smux.repeatable = ready.capabilities.processes_before_counting
            && !crate::mutation("messages-are-not-repeatable");
EOF

mutation keep-alives-are-not-repeatable ssm-smux/src/mux/send.rs <<'EOF'
        self.append_message(to, max, HEADER)
====
        if crate::mutation("keep-alives-are-not-repeatable") {
            return self.append_frames(to, max.min(HEADER));
        }
        self.append_message(to, max, HEADER)
EOF

build=$(cd "$tree" && cargo test --locked --no-run -p ssm-forward --lib 2>&1) || { echo "$build"; exit 1; }
test=$(sed -nE 's/.*unittests src\/lib\.rs \((.*)\)$/\1/p' <<<"$build")
[[ $test == /* ]] || test=$tree/$test
simulation=(timeout 300 "$test" simulation::nothing_is_lost)

if ! SSM_SIM_SEEDS=$seeds "${simulation[@]}" >"$log" 2>&1; then
  cat "$log"
  echo "mutations.sh: the simulator fails without any mutation"
  exit 1
fi

missed=0
for name in "${names[@]}"; do
  [[ $# == 0 || " $* " == *" $name "* ]] || continue
  start=$SECONDS code=0
  SSM_MUTATION=$name SSM_SIM_SEEDS=$seeds "${simulation[@]}" >"$log" 2>&1 || code=$?
  if [[ $code == 101 ]] && seed=$(grep -m1 -oE 'SSM_SIM_SEED=[0-9]+' "$log"); then
    why=$(grep -m1 -A1 'panicked at .*/simulation/\|panicked at' "$log" | tail -1)
    echo "caught: $name ($seed, $((SECONDS - start)) s): ${why:0:80}"
  else
    echo "MISSED: $name (exit code $code)"
    missed=$((missed + 1))
  fi
done
echo "$missed of ${#names[@]} mutations missed"
exit $((missed > 0))
