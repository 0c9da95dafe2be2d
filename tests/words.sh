#!/usr/bin/env bash
# Counts words that the project does not use, and documentation that opens with a question word.
# Usage: tests/words.sh [--list [path]]    `--list` prints each place with the words to use instead.
# Read: comments of Rust, SQL, shell and Python, messages of shell and Python, prose of Markdown, descriptions in schemas/json; string
# literals and names of tests in Rust.
set -euo pipefail
cd "$(dirname "$0")/.."
max_words_per_1000=10 max_question_percent=4 max_in_code=10

list=0 only=
[ "${1:-}" != --list ] || { list=1; only=${2:-}; }

git ls-files -z -- '*.rs' '*.sql' '*.sh' '*.py' '*.md' 'schemas/json/*.json' ':!tests/words.sh' ':!tests/specs' |
    { if [ -n "$only" ]; then grep -z "^$only" || true; else cat; fi; } |
    LIST=$list WORDS_MAX=$max_words_per_1000 QUESTIONS_MAX=$max_question_percent CODE_MAX=$max_in_code perl -0 -ne '
    BEGIN {
        # word => replacement
        %instead = (
            "told|tell|tells|telling" => "report, return, send, state",
            "said|say|says|saying" => "report, return, state",
            "hear|hears|heard|hearing" => "receive",
            "look|looks|looked|looking" => "check, sync, read; \"look up\" is allowed",
            "poke|pokes|poked" => "wake",
            "stands|stood" => "is; status",
            "nobody|somebody|anybody|everybody|whoever|anyone|someone|everyone" => "the worker, the caller, the operator, no row",
            "anew" => "again",
            "mend|mends|mended" => "repair, fix",
            "kept" => "stored, retained",
            "words" => "terms, text",
            "upkeep" => "maintenance",
            "stray|strays" => "unmatched",
            "put right" => "repair",
            "gives? back|given back|giving back|gave back" => "refund, return",
            "claim(?:s|ed)? back" => "dispute",
            "takes? leave|took leave" => "deregister, close",
        );
        for my $words (keys %instead) { push @rules, [qr/\b(?:$words)\b/i, $instead{$words}]; }
        $question = qr/^(?:What|Where|Whether|How|Who|Whose|Whom|When|Why|Which)\b/;
        ($lines, $hits, $docs, $questions, $in_code) = (0, 0, 0, 0, 0);
        sub place { my ($n, $text, $why) = @_; print "$file:$n: $why: $text\n" if $ENV{LIST}; }
        # Returns the number of words in a text; prints their places.
        sub words {
            my ($n, $text) = @_;
            my $found = 0;
            # quoted code and "look it up" do not count
            (my $plain = $text) =~ s/`[^`]*`//g;
            $plain =~ s/\blook(?:s|ed|ing)? (?:it |them |this |that )?up\b//gi;
            for my $rule (@rules) {
                while ($plain =~ /($rule->[0])/g) { $found++; place($n, $text, "\"$1\", rather: $rule->[1]"); }
            }
            return $found;
        }
        sub line { my ($n, $text) = @_; $lines++; $hits += words($n, $text); }
        # String literals and the name of a test, in a line of Rust without its comment.
        sub code {
            my ($n, $row, $is_test) = @_;
            $row =~ s{(?:^|\s)//.*$}{};
            while ($row =~ /"((?:[^"\\]|\\.)*)"/g) { $in_code += words($n, $1); }
            return unless $is_test && $row =~ /\bfn (\w+)/;
            (my $name = $1) =~ tr/_/ /;
            $in_code += words($n, $name);
        }
        sub doc {
            my ($n, $text) = @_;
            $docs++;
            if ($text =~ $question) { $questions++; place($n, $text, "opens with a question word"); }
        }
    }
    chomp; $file = $_;
    open(my $in, "<:encoding(UTF-8)", $file) or next;
    local $/ = "\n";
    my ($n, $before, $fence, $is_test) = (0, "", 0, 0);
    while (my $row = <$in>) {
        $n++; chomp $row;
        my ($kind, $text) = ("", "");
        if ($file =~ /\.rs$/) { ($kind, $text) = ($1, $2) if $row =~ m{^\s*(//[/!]?)\s?(.*)$} or $row =~ m{[;,{}()]\s+(//)\s(.*)$}; }
        elsif ($file =~ /\.sql$/) { ($kind, $text) = ("--", $1) if $row =~ /^\s*--\s?(.*)$/; }
        elsif ($file =~ /\.sh$/) {
            ($kind, $text) = ("#", $1) if $row =~ /^\s*#(?!!)\s?(.*)$/;
            ($kind, $text) = ("message", $1) if $kind eq "" && $row =~ /\b(?:echo|printf|report|die)\s+["\x27](.*)["\x27]/;
        }
        elsif ($file =~ /\.py$/) {
            ($kind, $text) = ("#", $1) if $row =~ /^\s*#(?!!)\s?(.*)$/ or $row =~ /\s\s#\s(.*)$/;
            ($kind, $text) = ("message", $1) if $kind eq "" && $row =~ /"([^"]* [^"]*)"/;
        }
        elsif ($file =~ /\.md$/) {
            $fence = !$fence if $row =~ /^\s*```/;
            ($kind, $text) = ("md", $row) if !$fence && $row =~ /[A-Za-z]/ && $row !~ /^\s*```/;
        }
        else { ($kind, $text) = ("json", $1) if $row =~ /"description": "(.*)"/; }
        if ($file =~ /\.rs$/ && $kind !~ m{^//[/!]} && $row !~ m{^\s*//}) {
            code($n, $row, $is_test);
            $is_test = $row =~ /^\s*#\[.*\btest\b/ || ($is_test && $row !~ /\bfn /);
        }
        if ($kind ne "" && $text =~ /\S/) {
            line($n, $text);
            doc($n, $text) if $kind eq "json" || ($kind =~ m{^//[/!]|^--} && $kind ne $before);
        }
        $before = $kind;
    }
    END {
        my $per_1000 = $lines ? 1000 * $hits / $lines : 0;
        my $percent = $docs ? 100 * $questions / $docs : 0;
        printf "%d words in %d lines of comments: %.1f per 1,000 (at most %d)\n", $hits, $lines, $per_1000, $ENV{WORDS_MAX};
        printf "%d of %d descriptions open with a question word: %.1f %% (at most %d)\n", $questions, $docs, $percent, $ENV{QUESTIONS_MAX};
        printf "%d words in string literals and names of tests (at most %d)\n", $in_code, $ENV{CODE_MAX};
        exit($in_code > $ENV{CODE_MAX} || $per_1000 > $ENV{WORDS_MAX} || $percent > $ENV{QUESTIONS_MAX} ? 1 : 0);
    }'
