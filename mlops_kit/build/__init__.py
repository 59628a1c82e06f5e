"""What should exist: definitions, templates, policies, graphs. Pure and offline; nothing here calls AWS."""
