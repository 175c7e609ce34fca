/// The version of the programs.
public enum Build {
    /// As `--version` prints it.
    public static let version = "0.1.0"
}
