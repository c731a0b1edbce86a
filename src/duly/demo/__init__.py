"""The demo: durable tasks at work on real input, written against the public interface alone, as a user would."""
