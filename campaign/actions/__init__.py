"""The verbs: each function is one intention in one or two short transactions. No SMTP is awaited inside one."""
