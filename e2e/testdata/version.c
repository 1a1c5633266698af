// SPDX-License-Identifier: Apache-2.0
// Prints the version of the plugin API that a plugin requires.

#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	void *library = dlopen(argv[1], RTLD_NOW);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	const char *(*version)(void) = dlsym(library, "plugin_get_required_api_version");
	if (!version)
		return 1;
	puts(version());
	return 0;
}
