# SPDX-License-Identifier: Apache-2.0
#
# Makes rules of what was raised and is expected: from alerts as Falco writes them with
# json_output, one a line, a file that says of each act "this is mine".
#
#   jq -nRrf expected.jq alerts.json >local_expected.yaml
#
# Read every entry, delete those that are not yours, try the file with falco -V behind
# the rules, and load it after the rules of containerapi. An entry excuses one act of one user or
# program, with all that the alert says of both, and nothing else that it does. Those
# of CRITICAL alerts are commented out. What cannot be said so exactly has a comment in
# place of an entry. Needs jq 1.6 or later.

def known: . != null and . != "" and . != "<NA>";

# What anyone can choose is written only if it cannot end its quotes or its line, and
# is no name of a list, which Falco puts the items of in its place.
def writable:
  (tostring | test("^[ -~]*$") and (test("\\\\|\n") | not) and ((contains("\"") and contains("'")) | not)
    and (test("(^|[ (),=])(user_known|kube|kubelet|docker|containerapi)_[a-z0-9_]+($|[ (),=])") | not));
def quoted: tostring | if contains("\"") then "'" + . + "'" else "\"" + . + "\"" end;

# A term of a condition: a field that has this value, or has none.
def is($name): .[$name] | if known then
    if writable then $name + " = " + (if type == "string" then quoted else tostring end) else error("\($name) has a value that cannot be written") end
  else "not \($name) exists" end;
def present($name): if .[$name] | known then "\($name) exists" else "not \($name) exists" end;
# The same where the alert shows the field.
def is_shown($name): if has($name) then is($name) else empty end;
def must($name): if .[$name] | known then is($name) else error("it has no \($name)") end;

# What something is created with is not the same another time.
def nothing($name): if .[$name] | known then error("what is created can give more another time") else "not \($name) exists" end;
def not_true($name): if .[$name] == true then error("what is created was not read in full") else "not \($name) = true" end;

# How the credential's id begins says what it is.
def credential: .["kube.credential.id"]
  | if known | not then "not kube.credential.id exists"
    elif startswith("JTI=") then "kube.credential.id startswith \"JTI=\""
    elif startswith("X509SHA256=") then "kube.credential.id startswith \"X509SHA256=\""
    else error("its kind of credential is not known") end;

# What is run is a part of the act.
def command: if .["api.operation"] | tostring | endswith(".exec") then must("api.command") else is_shown("api.command") end;

# An act in Kubernetes.
def kubernetes:
  [ must("kube.user.name"), credential, present("kube.token.pod"), is("kube.impersonated.user"),
      (if .["kube.user.contradictions"] | known then error("what does not fit in a user is not the same another time") else "not kube.user.contradictions exists" end),
      # Another address, or client, is somebody else.
      (if .["api.seen.deviations"] | known then error("it does not fit who did it: find out why") else "not api.seen.deviations exists" end),
      must("api.operation"), must("api.outcome"), must("api.object"), is("kube.client"), command,
      (if .["api.operation"] | tostring | test("create|update|patch|approve|debug") then nothing("kube.create.exposes"), nothing("kube.create.grants"), not_true("kube.create.unread") else empty end),
      # What is behind a proxy is not in the object, and neither is whom a review is about.
      (if .["api.operation"] | tostring | test("proxy|apiserver") then must("kube.uri") else empty end),
      (if .["api.operation"] == "kubelet.access" then must("kube.review.user") else empty end) ];

# An act in Docker.
def docker:
  if .["api.operation"] | tostring | test("create|update|plugin|daemon|unreadable") then error("what is created can give more another time") else . end
  | if .["docker.client.unverified_reason"] | known then error("its client is not certain") else . end
  | [ (if .["docker.client.container.name"] | known then
        "docker.client.in_container = true and docker.client.verified = true", must("docker.client.container.name"), must("docker.client.container.image.name")
       elif .["docker.client.pid"] | known then "docker.client.in_container = false and docker.client.verified = true"
       else error("its client is not known") end),
      must("docker.client.exepath"), must("docker.client.uid"),
      must("api.operation"), must("api.outcome"),
      (if [.["docker.container.name"], .["api.object"], .["docker.request.path"]] | any(known) then empty else error("it does not say what it was done to") end),
      is_shown("docker.container.name"), is_shown("api.object"), command,
      (if .["api.operation"] | tostring | endswith(".exec") then not_true("docker.exec.privileged") else empty end),
      (if .["api.operation"] | tostring | test("archive") then must("docker.archive.path") else empty end),
      (if .["docker.request.path"] | known then must("docker.request.path") else empty end) ];

# The macro that takes acts like this one, and the terms of an entry.
def entry:
  .source as $source | .rule as $rule | .output_fields
  | if $rule | startswith("Kubernetes Attack Tool") then error("who runs an attack tool is asked first")
    elif .["kube.user.name"] | known then {macro: "user_known_kube_act", terms: kubernetes}
    elif .["docker.daemon"] | known then {macro: "user_known_docker_act", terms: docker}
    elif $source == "syscall" then error("a command line can hold secrets, and without it is no single act: see the macros user_known_* of the rule")
    else error("it is no alert of these rules") end;

# Texts in comments are this file's own or shown so that they stay in their line.
def shown: tostring | gsub("[^ -~]"; "?") | .[0:200];

def alert: (fromjson? // null) | select(type == "object" and (.rule | type == "string") and (.output_fields | type == "object"));

[inputs | alert | {rule, priority: (.priority // ""), time: (.time // "")} + (try (entry | {macro, terms: (.terms | join(" and "))}) catch {reason: .})]
| group_by([.rule, .macro, .terms, .reason])
| map(.[0] + {count: length, first: (map(.time) | min), last: (map(.time) | max)})
| "# Made by expected.jq of \(map(.count) | add // 0) alerts: read each entry before you load it.",
  (.[]
    | (.priority | ascii_downcase | . == "critical" or . == "alert" or . == "emergency") as $critical
    | "", "# \(.rule | shown) (\(.priority | shown)), \(.count) times, \(.first | shown)" + (if .count > 1 then " to \(.last | shown)" else "" end),
      (if .reason then "# No entry: \(.reason | shown)."
       else
         ([ "- macro: \(.macro)", "  condition: >", "    or (\(.terms))", "  override:", "    condition: append" ]
           | .[] | if $critical then "# " + . else . end)
       end))
