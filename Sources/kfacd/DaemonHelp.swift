/// The common parts of both daemons' help texts.
enum DaemonHelp {
    static let layers = """
        Every option is also an environment variable (--log-level is KFACD_LOG_LEVEL) and a key of the file that \
        --config names (log-level: debug). Options precede variables, variables the file, the file the defaults. \
        SIGHUP reads the file again. SIGTERM ends in order, a second one at once.
        """
}
