// SPDX-License-Identifier: Apache-2.0

package kubernetes

import "github.com/containerapi/containerapi/plugin/operation"

// verb is an index into verbs.
type verb int

const (
	verbUnknown verb = iota
	verbGet
	verbList
	verbWatch
	verbCreate
	verbUpdate
	verbPatch
	verbDelete
	verbDeleteCollection
	verbCount
)

func verbOf(name string) verb {
	switch name {
	case "get":
		return verbGet
	case "list":
		return verbList
	case "watch":
		return verbWatch
	case "create":
		return verbCreate
	case "update":
		return verbUpdate
	case "patch":
		return verbPatch
	case "delete":
		return verbDelete
	case "deletecollection":
		return verbDeleteCollection
	}
	return verbUnknown
}

// verbs holds an operation for each verb. An empty one is operation.Other.
type verbs [verbCount]operation.Operation

// object has an operation for each verb, all of which but create and update
// can leak c: the answers to a patch (also an empty one) and to a deletion (also
// a dry run) carry the object as it was stored.
func object(name string, c operation.Credential) verbs {
	return verbs{
		verbGet:              {Name: name + ".get", Credential: c},
		verbList:             {Name: name + ".list", Credential: c},
		verbWatch:            {Name: name + ".watch", Credential: c},
		verbCreate:           {Name: name + ".create", Credential: none},
		verbUpdate:           {Name: name + ".update", Credential: none},
		verbPatch:            {Name: name + ".patch", Credential: c},
		verbDelete:           {Name: name + ".delete", Credential: c},
		verbDeleteCollection: {Name: name + ".delete", Credential: c},
	}
}

// part is a subresource that is answered with the whole object, so that
// reading or writing status leaks what reading the object does.
func part(name string, c operation.Credential) verbs {
	return verbs{
		verbGet:    {Name: name + ".get", Credential: c},
		verbUpdate: {Name: name + ".update", Credential: c},
		verbPatch:  {Name: name + ".patch", Credential: c},
	}
}

// always is a subresource whose verb means nothing: exec, attach and
// portforward are a get over WebSocket and a create over SPDY, and a proxy's
// verb is that of the request behind it.
func always(op operation.Operation) verbs {
	var vs verbs
	for v := range vs {
		vs[v] = op
	}
	return vs
}

// only has an operation for create and no other verb.
func only(op operation.Operation) verbs {
	return verbs{verbCreate: op}
}
