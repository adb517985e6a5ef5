# Each recipe is one npm script; `npx just` lists them.

default:
    @npx just --list

# start a broker here
serve *args:
    npm run --silent sluice -- serve {{args}}

# the demonstration on real data
quickstart *args:
    npm run --silent quickstart -- {{args}}

# everything CI checks
test *steps:
    npm test -- {{steps}}

unit *args:
    npm run --silent test:unit -- {{args}}

integration *args:
    npm run --silent test:integration -- {{args}}

# clusters under faults in one process
sim *args:
    npm run --silent sim -- {{args}}

# a cluster in containers, broken on purpose
chaos *args:
    npm run --silent chaos -- {{args}}

lint:
    npm run --silent lint

format:
    npm run --silent format

# proto and generated docs
generate:
    npm run --silent generate

bench *args:
    npm run --silent bench -- {{args}}

versus *args:
    npm run --silent bench:versus -- {{args}}

release *args:
    npm run --silent release -- {{args}}
