# The recipes that people and CI share. `just` lists them.

_list:
    @just --list

# Serve the four services on SQLite in ./data, in one process.
serve:
    cargo run --release

# Build a company, import 2,000 dirty customers and live through ninety days.
demo *arguments:
    cargo run --release -- demo {{arguments}}

# Format, lints and every test, on SQLite and a private PostgreSQL.
test:
    tests/run

# Hold the permission model's laws against generated cases: memory, databases, cedar; --full for ten times as many.
prove *where:
    tests/prove {{where}}

# Break the code on purpose, rule by rule, and count the breaks that no test notices: engine, product or a word; see CONTRIBUTING.md.
mutate *words:
    tests/mutate {{words}}

# Measure a cost beside its floor: import, list, check, rpc, audit or alerts; see docs/benchmarks.md.
bench name *options:
    tests/bench {{name}} {{options}}

# Break something off at random points and count what is lost: offboard or lease.
storm name *options:
    tests/storm {{name}} {{options}}

# Rewrite the code in the house's format.
format:
    cargo fmt --all

# Check the protos against buf's rules; needs Node.js, the package carries the tool.
lint-proto:
    cd proto && npx --yes @bufbuild/buf@1.75.0 lint

# Check licences, duplicates and sources of every dependency; needs cargo-deny.
deny:
    cargo deny check bans licenses sources

# Write the demo's customer files anew.
fixture:
    python3 services/standalone/fixture/generate.py
