// SPDX-License-Identifier: Apache-2.0

/* Loads a plugin's library and asks it, as an engine does first, for its name,
 * its version and the fields that it knows:
 *
 *	loads ./libcontainerapi.so containerapi */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *ask(void *library, const char *name)
{
	const char *(*function)(void) = (const char *(*)(void))dlsym(library, name);
	const char *answer = function ? function() : NULL;

	if (!answer)
		fprintf(stderr, "loads: no answer from %s\n", name);
	return answer ? answer : "";
}

int main(int argc, char **argv)
{
	const char *name, *version, *fields;
	void *library;

	if (argc != 3) {
		fprintf(stderr, "usage: loads library name\n");
		return 2;
	}
	library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
	if (!library) {
		fprintf(stderr, "loads: %s\n", dlerror());
		return 1;
	}
	name = ask(library, "plugin_get_name");
	version = ask(library, "plugin_get_version");
	fields = ask(library, "plugin_get_fields");
	printf("%s %s, plugin API %s, %zu bytes of fields\n", name, version,
	       ask(library, "plugin_get_required_api_version"), strlen(fields));
	return strcmp(name, argv[2]) || !*version || !strstr(fields, "api.operation");
}
