/* The Python module `entitydb_dialect._short`: the second one in the library, beside the one that cffi makes. */
#include "engine/python/short.h"

static PyMethodDef functions[] = {
    { "uncollected", (PyCFunction)(void (*)(void))uncollected, METH_FASTCALL,
      "uncollected(function, argument): calls it while Python's garbage collector is off." },
    { "tagged_many", (PyCFunction)(void (*)(void))tagged_many, METH_FASTCALL,
      "tagged_many(context, table, expressions): of each expression in the tuple the list of the row ids of the table, by its\n"
      "id, that it means. context: the address of an edb_stmt. An int instead of a list: the error's code." },
    { NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_short", .m_doc = "The short way of known texts.", .m_size = -1,
    .m_methods = functions,
};

static int add(PyObject *to, const char *name, PyType_Spec *spec, PyTypeObject **type)
{
    PyObject *made = PyType_FromSpec(spec);

    if (!made)
        return -1;
    *type = (PyTypeObject *)made;
    Py_INCREF(made);                /* for the variable */
    if (PyModule_AddObject(to, name, made)) {
        Py_DECREF(made);
        return -1;
    }
    return 0;
}

PyMODINIT_FUNC PyInit__short(void)
{
    PyObject *made = PyModule_Create(&module);

    if (made && (add(made, "Session", &session_spec, &session_type) || add(made, "Known", &known_spec, &known_type)
                 || add(made, "Cursor", &cursor_spec, &cursor_type)))
        Py_CLEAR(made);
    return made;
}
