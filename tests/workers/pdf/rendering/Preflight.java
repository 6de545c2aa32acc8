// Asks PDFBox whether files are valid PDF/A-1; prints a line for each fault. Run as a single source file.
import java.io.File;
import org.apache.pdfbox.preflight.PreflightDocument;
import org.apache.pdfbox.preflight.ValidationResult;
import org.apache.pdfbox.preflight.parser.PreflightParser;

public class Preflight {
  public static void main(String[] files) throws Exception {
    for (String file : files) {
      PreflightParser parser = new PreflightParser(new File(file));
      parser.parse();
      try (PreflightDocument document = parser.getPreflightDocument()) {
        document.validate();
        for (ValidationResult.ValidationError error : document.getResult().getErrorsList()) {
          System.out.println(error.getErrorCode() + " " + error.getDetails());
        }
      }
    }
    System.out.println("checked " + files.length);
  }
}
