// SPDX-License-Identifier: Apache-2.0

package command

import "strings"

// format is how the tokens of a vendor begin, and at least how many more
// characters they have. The formats are those of gitleaks
// (https://github.com/gitleaks/gitleaks, config/gitleaks.toml) and TruffleHog that
// have a beginning of their own; all others are known by the name that they stand
// beside. The counts are lower than there: a token that was cut is one, too.
type format struct {
	prefix string
	rest   int
	of     alphabet
}

// alphabet is which characters a token consists of behind its prefix.
type alphabet uint16

const (
	letters   alphabet = 1 << iota // letters and digits
	url64                          // and - _
	dotted                         // and .
	base64                         // letters, digits and + / =
	tilde                          // and ~
	hexDigits                      // 0-9 a-f A-F
	upper                          // capitals and digits
	small                          // small letters and digits
)

// formats are found by how they begin, see [slot].
var formats = func() (index [1 << 10][]format) {
	for _, f := range []format{
		// Code forges and their registries.
		{"ghp_", 16, letters}, {"gho_", 16, letters}, {"ghu_", 16, letters}, {"ghs_", 16, letters | dotted | url64}, {"ghr_", 16, letters},
		{"github_pat_", 16, url64}, {"v1.", 40, hexDigits},
		{"glpat-", 12, url64 | dotted}, {"gldt-", 12, url64}, {"glcbt-", 12, url64}, {"glft-", 12, url64}, {"glffct-", 12, url64},
		{"glimt-", 12, url64}, {"glagent-", 12, url64}, {"gloas-", 12, url64}, {"glptt-", 12, url64}, {"glrt-", 12, url64 | dotted}, {"glrtr-", 12, url64},
		{"glsoat-", 12, url64}, {"GR1348941", 12, url64}, {"ATBB", 20, letters}, {"ATCTT3", 20, url64 | base64}, {"ATATT3", 20, url64 | base64}, {"BBDC-", 20, url64 | base64},
		{"npm_", 20, letters}, {"pypi-", 30, url64}, {"rubygems_", 20, hexDigits}, {"CLOJARS_", 20, letters}, {"clojars_", 20, letters}, {"oy2", 40, letters},
		{"dckr_pat_", 12, url64}, {"dckr_oat_", 12, url64}, {"AKCp", 30, letters}, {"cmVmd", 30, letters}, {"sntrys_", 20, url64 | base64}, {"sntryu_", 20, hexDigits},
		{"sgp_", 20, url64}, {"squ_", 20, letters}, {"sqp_", 20, letters}, {"sqa_", 20, letters}, {"CCIPAT_", 20, url64}, {"circleci_", 20, letters}, {"bkua_", 20, letters}, {"jfrt", 40, letters},
		// Clouds.
		{"AKIA", 12, upper}, {"ASIA", 12, upper}, {"ABIA", 12, upper}, {"ACCA", 12, upper}, {"AGPA", 16, upper}, {"ABSK", 40, base64}, {"bedrock-api-key-", 20, base64 | url64},
		{"AIza", 20, url64}, {"ya29.", 16, url64 | dotted}, {"1//0", 20, url64}, {"GOCSPX-", 16, url64}, {"GOOG1", 24, letters},
		{"LTAI", 12, letters}, {"AKID", 20, letters}, {"dop_v1_", 20, hexDigits}, {"doo_v1_", 20, hexDigits}, {"dor_v1_", 20, hexDigits}, {"HRKU-", 20, url64},
		{"fo1_", 20, url64}, {"fm1a_", 20, base64}, {"fm1r_", 20, base64}, {"fm2_", 20, base64}, {"tk-us-", 20, url64}, {"v1.0-", 24, url64}, {"hcloud_", 20, letters}, {"SCW", 17, upper},
		{"YC", 36, url64}, {"AQVN", 30, url64}, {"t1.", 40, url64 | dotted}, {"nfp_", 20, letters}, {"rnd_", 20, letters}, {"vercel_", 20, letters}, {"sbp_", 20, hexDigits}, {"LS0tLS1CRUdJTi", 20, base64},
		// Infrastructure.
		{"hvs.", 12, url64}, {"hvb.", 12, url64}, {"hvr.", 12, url64}, {"s.", 22, letters}, {"b.", 60, letters}, {"ATLASV1", 20, url64},
		{"AGE-SECRET-KEY-1", 16, upper}, {"AGE-PLUGIN-", 16, upper | url64}, {"dapi", 24, hexDigits}, {"dkea", 24, hexDigits}, {"dose", 24, hexDigits}, {"dp.pt.", 16, letters}, {"dp.st.", 16, letters | dotted | url64}, {"dp.ct.", 16, letters}, {"dp.sa.", 16, letters}, {"dp.scim.", 16, letters}, {"dp.audit.", 16, letters},
		{"glc_", 16, base64}, {"glsa_", 16, url64}, {"NRAK-", 16, letters}, {"NRII-", 16, url64}, {"NRJS-", 12, letters}, {"NRAA-", 16, letters}, {"NRIQ-", 16, letters}, {"eu01xx", 24, letters}, {"ddapi_", 16, letters}, {"pub", 32, hexDigits}, {"dt0c01.", 20, letters | dotted}, {"dt0s", 24, letters | dotted},
		{"PMAK-", 20, url64}, {"PMAT-", 20, url64}, {"pul-", 20, hexDigits}, {"pnu_", 20, letters}, {"API-", 20, upper}, {"ico-", 20, letters}, {"pscale_tkn_", 16, url64 | dotted}, {"pscale_oauth_", 16, url64 | dotted}, {"pscale_pw_", 16, url64 | dotted},
		{"sha256~", 20, url64}, {"ops_", 40, base64 | url64}, {"A3-", 20, upper | url64}, {"tskey-", 12, url64}, {"infisical_", 16, letters}, {"st.", 60, url64 | dotted}, {"cfut_", 20, url64}, {"cfat_", 20, url64}, {"bws.", 20, letters},
		// Messages and mail.
		{"xoxb-", 10, url64}, {"xoxp-", 10, url64}, {"xoxa-", 10, url64}, {"xoxr-", 10, url64}, {"xoxs-", 10, url64}, {"xoxo-", 10, url64}, {"xoxc-", 10, url64}, {"xoxd-", 10, url64 | base64}, {"xoxe-", 10, url64}, {"xoxe.", 10, url64}, {"xapp-", 10, url64}, {"xwfp-", 10, url64},
		{"SG.", 20, url64 | dotted}, {"xkeysib-", 16, url64}, {"xsmtpsib-", 16, url64}, {"key-", 24, hexDigits}, {"SK", 30, hexDigits}, {"mfa.", 30, url64}, {"EAA", 60, letters}, {"EAACEdEose0cBA", 10, letters},
		// Shops and payment.
		{"sk_live_", 8, url64}, {"sk_test_", 8, url64}, {"sk_prod_", 8, url64}, {"rk_live_", 8, url64}, {"rk_test_", 8, url64}, {"rk_prod_", 8, url64}, {"whsec_", 12, base64 | url64}, {"shpat_", 16, letters}, {"shpca_", 16, letters}, {"shppa_", 16, letters}, {"shpss_", 16, letters}, {"EAAA", 20, url64}, {"sq0atp-", 16, url64}, {"sq0csp-", 16, url64},
		{"shippo_live_", 16, letters}, {"shippo_test_", 16, letters}, {"EZAK", 40, letters}, {"EZTK", 40, letters}, {"FLWSECK", 12, url64}, {"duffel_live_", 16, url64}, {"duffel_test_", 16, url64}, {"live_", 34, url64}, {"access-sandbox-", 16, url64}, {"access-production-", 16, url64}, {"rzp_live_", 12, letters}, {"rzp_test_", 12, letters},
		// Models and the rest.
		{"sk-", 20, url64}, {"hf_", 16, letters}, {"api_org_", 16, letters}, {"pplx-", 16, letters}, {"gsk_", 16, letters}, {"xai-", 20, letters}, {"r8_", 20, letters}, {"nvapi-", 16, url64}, {"lin_api_", 16, letters}, {"lin_oauth_", 16, letters}, {"ntn_", 16, letters}, {"secret_", 32, letters}, {"figd_", 16, url64},
		{"tfp_", 16, url64 | dotted}, {"fio-u-", 16, url64}, {"rdme_", 16, letters}, {"p8e-", 16, letters}, {"pat", 60, letters | dotted}, {"pat.", 30, letters | dotted}, {"sat.", 30, letters | dotted}, {"patt", 40, letters | dotted}, {"s-s4t2", 16, url64}, {"sm_aat_", 12, letters}, {"sm_pat_", 12, letters}, {"sm_sat_", 12, letters}, {"dnkey-", 16, url64}, {"phc_", 20, letters}, {"phx_", 20, letters}, {"sk.eyJ", 10, url64 | dotted}, {"pk.eyJ", 10, url64 | dotted}, {"fpat_", 16, url64}, {"apify_api_", 16, letters}, {"4b1d", 34, letters},
		// JSON in base64: JSON Web Tokens, the keys of Grafana and much else.
		{"eyJ", 12, url64 | dotted | base64}, {"ZXlK", 24, base64},
		// Hashes of passwords.
		{"$1$", 8, base64 | dotted | hashed}, {"$2a$", 8, base64 | dotted | hashed}, {"$2b$", 8, base64 | dotted | hashed}, {"$2y$", 8, base64 | dotted | hashed}, {"$5$", 8, base64 | dotted | hashed}, {"$6$", 8, base64 | dotted | hashed}, {"$y$", 8, base64 | dotted | hashed}, {"$7$", 8, base64 | dotted | hashed}, {"$apr1$", 8, base64 | dotted | hashed}, {"$argon2", 8, base64 | dotted | hashed | url64}, {"{SSHA}", 8, base64}, {"{SHA}", 8, base64},
	} {
		i := slot(f.prefix[0], f.prefix[1])
		index[i] = append(index[i], f)
	}
	return index
}()

// slot is where the formats are that begin with these two bytes, beside few others.
func slot(first, second byte) int { return (int(first)<<5 ^ int(second)) & (1<<10 - 1) }

// seconds says of each byte that begins a format which ones can follow it.
var seconds = func() (of [256][4]uint64) {
	for _, list := range formats {
		for _, f := range list {
			of[f.prefix[0]][f.prefix[1]/64] |= 1 << (f.prefix[1] % 64)
		}
	}
	return of
}()

// mayBegin reports whether a format begins with these two bytes.
func mayBegin(first, second byte) bool { return seconds[first][second/64]>>(second%64)&1 != 0 }

// hashed is $ and what else stands in the hash of a password.
const hashed alphabet = 1 << 15

// members says of each byte in which alphabets it is.
var members = func() (of [256]alphabet) {
	for c := range of {
		b := byte(c)
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		digit := b >= '0' && b <= '9'
		if letter || digit {
			of[c] |= letters | url64 | dotted | base64 | tilde | hashed
		}
		if digit || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F' {
			of[c] |= hexDigits
		}
		if digit || b >= 'A' && b <= 'Z' {
			of[c] |= upper
		}
		if digit || b >= 'a' && b <= 'z' {
			of[c] |= small
		}
		switch b {
		case '-', '_':
			of[c] |= url64
		case '.':
			of[c] |= dotted
		case '+', '/', '=':
			of[c] |= base64
		case '~':
			of[c] |= tilde
		case '$', ',':
			of[c] |= hashed
		}
	}
	return of
}()

// known returns the length of the token of a known format that a text begins with,
// or 0.
func known(s string) int {
	if len(s) < 2 || !mayBegin(s[0], s[1]) {
		return 0
	}
	for _, f := range formats[slot(s[0], s[1])] {
		if s[0] != f.prefix[0] || s[1] != f.prefix[1] || len(s) < len(f.prefix)+f.rest || s[:len(f.prefix)] != f.prefix {
			continue
		}
		n := len(f.prefix)
		for n < len(s) && members[s[n]]&f.of != 0 {
			n++
		}
		// What goes on as a word is another one: "pub" and "key-" begin many.
		if n-len(f.prefix) < f.rest || f.of == hexDigits && n < len(s) && members[s[n]]&letters != 0 {
			continue
		}
		return n
	}
	return 0
}

// span returns how many bytes of an alphabet a text begins with, up to 64.
func span(s string, of alphabet) int {
	n := 0
	for n < len(s) && n < 64 && members[s[n]]&of != 0 {
		n++
	}
	return n
}

// colonLength returns the length of the colon that a text begins with, also of one that
// is escaped as in a URL, or 0.
func colonLength(s string) int {
	for _, colon := range []string{":", "%3A", "%3a", "%253A", "%253a"} {
		if strings.HasPrefix(s, colon) {
			return len(colon)
		}
	}
	return 0
}

// structured finds a token that is known by its parts and not by how it begins. The run
// of letters, digits and _ - . at s[from:to] is the first of them. It returns where the
// secret is in s, or 0.
func structured(s string, from, to int) (begin, end int) {
	run := s[from:to]
	switch {
	// Kubernetes' tokens for new nodes: bootstrapapi.BootstrapTokenPattern in
	// k8s.io/cluster-bootstrap/token/api. What has no digit is the name of a host.
	case len(run) == 23 && run[6] == '.' && span(run, small) == 6 && span(run[7:], small) == 16 && strings.ContainsAny(run, "0123456789"):
		return from, to
	case len(run) >= 40 && strings.Contains(run, ".atlasv1."): // HCP Terraform
		return from, to
	// K3s: the hash of its authority, who comes, and the password.
	case len(run) >= 43 && strings.HasPrefix(run, "K10"):
		end = to
		for range 8 {
			n := colonLength(s[end:])
			if n == 0 {
				break
			}
			end += n
			end += span(s[end:], url64)
		}
		return from, end
	case to == len(s):
		return 0, 0
	}
	rest := s[to+1:]
	switch {
	case s[to] == '~' && len(run) >= 5 && run[len(run)-1] == 'Q' && digits(run[len(run)-2:len(run)-1]): // Entra ID
		if n := span(rest, url64|dotted|tilde); n >= 30 {
			return to - 5, to + 1 + n
		}
	case s[to] == ':' && len(run) >= 8 && len(run) <= 10 && digits(run) && span(rest, url64) == 35: // Telegram
		return to + 1, to + 1 + 35
	case s[to] == ':' && span(rest, small) == 54 && span(rest, url64) == 54: // Rancher
		return to + 1, to + 1 + 54
	}
	return 0, 0
}
